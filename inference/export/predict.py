"""Classify images: python predict.py IMAGE [IMAGE ...] prints file, class and probability.

Needs numpy, pillow, and onnxruntime for model.onnx, or paddlepaddle where there is none.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
RULES: Any = {}  # of preprocess.json


def decode(path: str) -> Any:
    """Decodes an image to uint8 `(H, W, 3)`: 16 bits are scaled, transparent pixels are white."""
    image: Any = Image.open(path)
    image = ImageOps.exif_transpose(image) if RULES["exif_upright"] else image
    if image.mode.startswith(("I", "F")):
        wide = np.asarray(image, np.float64)
        sixteen = image.mode.startswith("I;16") or wide.max() > 255
        unit = 1 / 257 if sixteen else 255 if image.mode == "F" and wide.max() <= 1 else 1
        grey = np.rint(np.nan_to_num(wide * unit)).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def prepare(path: str) -> Any:
    """Reads an image as the model takes it: `(3, S, S)`, uint8 or normalised."""
    image, size, short = decode(path), RULES["size"], RULES["shorter_side"]
    scale = short / min(image.shape[:2])
    height, width = (max(short, round(side * scale)) for side in image.shape[:2])
    if image.shape[:2] != (height, width):
        method = Image.Resampling[RULES["interpolation"].upper()]
        image = np.asarray(Image.fromarray(image).resize((width, height), method))
    top, left = (height - size) // 2, (width - size) // 2
    image = image[top : top + size, left : left + size]
    if RULES["dtype"] == "float32":
        mean, std = (np.array(RULES[key], np.float32) * 255 for key in ("mean", "std"))
        image = (image.astype(np.float32) - mean) / std
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def model() -> Any:
    """Opens the model; returns a function from images `(B, 3, S, S)` to logits `(B, C)`."""
    if (HERE / "model.onnx").exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(HERE / "model.onnx"))
        return lambda images: session.run(["logits"], {"images": images})[0]
    from paddle import inference

    program = next(path for path in HERE.glob("model.*") if path.suffix in (".json", ".pdmodel"))
    config = inference.Config(str(program), str(HERE / "model.pdiparams"))
    config.enable_mkldnn()
    if RULES["precision"] == "bfloat16":
        config.enable_mkldnn_bfloat16()
    predictor = inference.create_predictor(config)

    def run(images: Any) -> Any:
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    return run


def main() -> None:
    """Classifies the images of the command line."""
    RULES.update(json.loads((HERE / "preprocess.json").read_text(encoding="utf-8")))
    labels = (HERE / "labels.txt").read_text(encoding="utf-8").split("\n")[:-1]
    run = model()
    for path in sys.argv[1:]:
        logits = run(prepare(path)[None])[0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        print(f"{path}  {labels[logits.argmax()]}  {odds.max() / odds.sum():.4f}")


if __name__ == "__main__":
    main()
