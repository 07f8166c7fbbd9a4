"""Classify images with trained weights.

    python -m tools.predict --weights output/digits_rdrop/weights.safetensors picture.png ...

Prints one line for each image: file, class, probability. The weights carry their config and the
names of the classes.
"""

import argparse
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.predict", __doc__)
    add = parser.add_argument
    add("--weights", required=True, help="a weights file that this project wrote")
    add("--json", type=user_path, help="write them there, too, with every class's probability")
    add("images", nargs="+", type=user_path, metavar="IMAGE", help="image files of any size")
    return parser.parse_args()


def predict(weights_path: str, paths: list[Path]) -> list[dict]:
    """Classifies image files.

    Returns:
        One dict for each image: `file`, `class`, `probability`, and `probabilities` by the name of
        the class.

    Raises:
        UserError: for unreadable images, or weights that do not say what they are for.
    """
    import numpy as np
    import paddle
    import paddle.nn.functional as F

    import models
    from data.augment.transforms import EvalTransform
    from data.images.image_files import decode
    from engine.state import run_weights
    from models.input_images import normalise

    arrays, config, classes = run_weights.read(weights_path)
    if config is None:
        raise UserError(
            f"{weights_path} does not name its model and classes; only weights of this project do"
        )
    size, crop, mean, std = (
        *(config.model.image_size, config.data.eval_crop),
        *(config.model.mean, config.model.std),
    )
    if not (size and crop and mean and std):
        raise UserError(
            f"{weights_path}: its config lacks the size of the images, or what they are normalised "
            "with"
        )
    model = models.build(config.model)
    models.assign_all(model, arrays, weights_path)
    model.eval()
    transform = EvalTransform(size, crop, config.data.interpolation)
    predictions = []
    for path in paths:
        pixels = transform(decode(path, str(path)), None).transpose(2, 0, 1)  # (3, S, S)
        images = paddle.to_tensor(np.ascontiguousarray(pixels)[None])
        with paddle.no_grad():
            logits = model(normalise(images, config.model))  # (1, C)
        probabilities = F.softmax(logits, axis=-1)[0].numpy().tolist()
        named = dict(zip(classes, probabilities))
        best = int(np.argmax(probabilities))
        found = {"file": str(path), "class": classes[best], "probability": probabilities[best]}
        predictions.append({**found, "probabilities": named})
    return predictions


def main() -> int:
    """Classifies the images of the command line; returns the exit code."""
    arguments = _arguments()
    tool_arguments.check_output("--json", arguments.json, [arguments.weights, *arguments.images])
    paddle_setup.load_paddle()
    predictions = predict(arguments.weights, arguments.images)
    for row in predictions:
        print(f"{row['file']}  {row['class']}  {row['probability']:.4f}")
    if arguments.json:
        write_json(arguments.json, predictions)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
