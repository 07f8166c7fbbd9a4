"""Trained weights as a classifier of images, in three lines.

from inference import load

classifier = load("output/digits_rdrop")
print(classifier("cat.jpg"))
"""

from inference.classifier import Classifier, load

__all__ = ["Classifier", "load"]
