"""Trained weights as a classifier of images, in three lines.

from inference import load

classifier = load("output/digits_rdrop")
print(classifier("cat.jpg"))
"""

from program import paddle_setup

paddle_setup.load_paddle()  # all cores; Paddle reads their number when it is imported first

from inference.classifier import Classifier, load  # noqa: E402
from inference.prediction import Prediction  # noqa: E402

__all__ = ["Classifier", "Prediction", "load"]
