"""Convert weights of any library that is known here to this project's form, timm's or R-Drop's.

    python -m tools.convert_weights --model vit_b_16 --input ViT-B_16.npz \\
        --output vit_b_16.safetensors
    python -m tools.convert_weights --model swin_l --source ours --input swin_l.safetensors \\
        --output for_timm.pth
    python -m tools.convert_weights --model vit_b_16 --input vit_b_16.safetensors --to rdrop \\
        --output cifar_checkpoint.bin

Without `--to`, the form of the output follows its ending: .safetensors or .pdparams has our names
(which are PPIM's) and Paddle's layout, .pth, .pt or .bin has timm's names and PyTorch's layout.
With `--source ours`, a .safetensors file has timm's, too, since ours is what the input has.
`--to rdrop` writes a plain ViT for the official R-Drop code. Nothing is resized or cut, and no
value changes, so converting back returns the same bits.
"""

import argparse
from pathlib import Path
from typing import Any

from common.errors import UserError, listed
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments

_SOURCES = ("any", "timm", "google", "ppim", "ours")
_FORMS = ("ours", "timm", "rdrop")
_TORCH = (".pth", ".pt", ".bin")
_CLASSES = 1000  # of a model that models.create makes with its default


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.convert_weights", __doc__)
    add = parser.add_argument
    add("--model", required=True, help="its name here (python -m tools.models lists them)")
    add(
        "--source",
        default="any",
        choices=_SOURCES,
        help="whose names and layout the input must have (default: any that are known)",
    )
    add("--input", required=True, help="a file, an https address, or a name such as timm/NAME.TAG")
    add("--output", required=True, type=user_path, help="the file to write")
    add("--to", choices=_FORMS, default="", help="whose names and layout it gets, see above")
    return parser.parse_args()


def convert(
    model: str, source: str, origin: str, output: Path, to: str = ""
) -> tuple[list[str], str]:
    """Converts a file of weights.

    Args:
        model: a key of `models.MODELS`; head and input size may differ from it.
        source: `timm`, `google`, `ppim` or `ours`; `any` for whatever is known.
        origin: the input: a path, an address or a name, as `models.locate` takes it.
        output: its format follows its ending, see the top of this file.
        to: `ours`, `timm` or `rdrop`, for the names and the layout of the output; empty: by its
            ending.

    Returns:
        The names of the arrays that were left out (buffers that follow from the shape of the model,
        parts of the pre-training, and `pre_logits` with the head on it); and `to`, as it was
        chosen.

    Raises:
        UserError: when the input is not what `source` says, or not of the model, or when the model
            has no form for `to`.
    """
    import models
    from models import part_texts
    from models.weights.names import layouts
    from models.weights.names.translate import Named
    from models.weights.told.architecture import parts_for
    from models.weights.told.stated_grids import on_grid_of

    tool_arguments.check_output("--output", output, [models.locate(origin)])
    weights = models.read_weights(origin)
    parts, _ = parts_for(model, weights)
    reference = models.create(model, **parts)
    ours = layouts.to_ours(reference, weights.arrays, origin)
    classes = {ours[f"{head}.bias"].size for head in reference.heads if f"{head}.bias" in ours}
    if classes not in (set(), {_CLASSES}):
        reference = models.create(model, num_classes=max(classes), **parts)
    report, _ = models.fit(reference, on_grid_of(reference, weights)[0].arrays, origin)
    named = Named(weights.arrays, weights.library, weights.dropped, weights.said)
    found = layouts.styles(reference, named, origin)
    if source not in ("any", *found):
        raise UserError(
            f"{origin}: has the names and the layout of {' or '.join(found)}, not of {source}"
        )
    wanted = [name for name in reference.state_dict() if name not in report.dropped]
    kept = {name: ours[name] for name in wanted if name in ours}
    to = to or _form(source, output)
    own = None
    if to == "ours":
        stated = models.input_stats(model, origin)._asdict()
        own = {"format": 1, "model": model, "input": stated, "origin": found[0]}
        own |= _told(parts, weights)
    elif parts:
        print(f"note: their form does not say all parts of the model: {part_texts.write(parts)}")
    models.write_arrays(output, _in_form(reference, kept, to, origin), own)
    return [*weights.dropped, *report.dropped], to


def _told(parts: dict[str, Any], weights: Any) -> dict[str, Any]:
    """Returns what the files beside weights say of the model, and no array shows."""
    from models import part_texts
    from models.weights.told.stated_grids import stated_grid

    grid = stated_grid(weights)
    oblong = grid is not None and grid.sides[0] != grid.sides[1]
    return {
        **({"parts": part_texts.write(parts)} if parts else {}),
        **({"image_sides": list(weights.description.sides)} if oblong else {}),
    }


def _form(source: str, output: Path) -> str:
    """Returns the form of an output by its ending."""
    timm = output.suffix in _TORCH or (source == "ours" and output.suffix == ".safetensors")
    return "timm" if timm else "ours"


def _in_form(reference: Any, arrays: dict[str, Any], to: str, origin: str) -> dict[str, Any]:
    """Returns a model's arrays with the names and the layout of `to`."""
    from models.weights.names import layouts
    from models.weights.names.libraries import official_rdrop

    if to == "ours":
        return arrays
    arrays = layouts.to_timm(reference, arrays)
    return official_rdrop.to_official(arrays, origin) if to == "rdrop" else arrays


def main() -> int:
    """Converts the file of the command line; returns the exit code."""
    arguments = _arguments()
    paddle_setup.load_paddle()
    left_out, style = convert(
        arguments.model, arguments.source, arguments.input, arguments.output, arguments.to
    )
    if left_out:
        print(f"left out: {listed(left_out)}")
    print(f"{arguments.output}: names and layout: {style}")
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
