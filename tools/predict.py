"""Classify images with trained weights.

    python -m tools.predict --weights output/digits_rdrop/weights.safetensors picture.png ...

One line an image: file, class, probability. The weights carry their config and the names of the
classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError
from program import exits, paddle_setup, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.predict", __doc__)
    parser.add_argument("--weights", required=True, help="a weights file that this project wrote")
    parser.add_argument(
        "--json", type=Path, help="write all predictions there, with every class's probability"
    )
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE", help="image files of any size"
    )
    return parser.parse_args()


def predict(weights_path: str, paths: list[Path]) -> list[dict]:
    """Classify image files.

    Returns:
        One dict an image: `file`, `class`, `probability`, and `probabilities` by the name of the
        class.

    Raises:
        UserError: for unreadable images, or weights that do not say what they are for.
    """
    import numpy as np
    import paddle
    import paddle.nn.functional as F

    import models
    from data.augment.transforms import EvalTransform
    from data.sets.image_files import decode
    from engine.state import run_weights
    from models.input_images import normalise

    stored = run_weights.read(weights_path)
    if stored.config is None:
        raise UserError(
            f"{weights_path} does not name its model and classes; only weights of this project do"
        )
    config = stored.config
    if not (
        config.model.image_size and config.model.mean and config.model.std and config.data.eval_crop
    ):
        raise UserError(
            f"{weights_path}: its config lacks the size of the images, or what they are normalised with"
        )
    model = models.build(config.model)
    models.assign_all(model, stored.arrays, weights_path)
    model.eval()
    transform = EvalTransform(
        config.model.image_size, config.data.eval_crop, config.data.interpolation
    )
    predictions = []
    for path in paths:
        pixels = transform(decode(path, str(path)), None).transpose(2, 0, 1)  # (3, S, S)
        images = paddle.to_tensor(np.ascontiguousarray(pixels)[None])
        with paddle.no_grad():
            probabilities = (
                F.softmax(model(normalise(images, config.model)), axis=-1)[0].numpy().tolist()
            )
        best = int(np.argmax(probabilities))
        named = dict(zip(stored.classes, probabilities))
        found = {
            "file": str(path),
            "class": stored.classes[best],
            "probability": probabilities[best],
        }
        predictions.append({**found, "probabilities": named})
    return predictions


def main() -> int:
    """Classify the images of the command line; gives the exit code."""
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
