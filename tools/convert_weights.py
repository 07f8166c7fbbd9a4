"""Convert weights between this project, PPIM, timm and Google.

    python -m tools.convert_weights --model vit_b_16 --source google --input ViT-B_16.npz \\
        --output vit_b_16.safetensors
    python -m tools.convert_weights --model swin_l --source ours --input swin_l.safetensors \\
        --output for_timm.pth

The format of the output follows its ending: .safetensors or .pdparams has our names (which are
PPIM's) and Paddle's layout, .pth or .pt has timm's names and PyTorch's layout. With the source
`ours`, a .safetensors file has timm's, too, since ours is what the input has. Nothing is resized or
cut, and no value changes, so converting back returns the same bits.
"""

import argparse
from pathlib import Path

from common.errors import UserError, listed
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments

_SOURCES = ("timm", "google", "ppim", "ours")
_CLASSES = 1000  # of a model that models.create makes with its default


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.convert_weights", __doc__)
    add = parser.add_argument
    add("--model", required=True, help="its name here (python -m tools.models lists them)")
    add("--source", required=True, choices=_SOURCES, help="whose names and layout the input has")
    add("--input", required=True, help="a file, an https address, or a name such as timm/NAME.TAG")
    add("--output", required=True, type=user_path, help="the file to write")
    return parser.parse_args()


def convert(model: str, source: str, origin: str, output: Path) -> tuple[list[str], str]:
    """Converts a file of weights.

    Args:
        model: a key of `models.MODELS`; head and input size may differ from it.
        source: `timm`, `google`, `ppim` or `ours`.
        origin: the input: a path, an address or a name, as `models.locate` takes it.
        output: its format follows its ending, see the top of this file.

    Returns:
        The names of the arrays that were left out (buffers that follow from the shape of the model,
        and `pre_logits` with the head on it); and `ours` or `timm`, for the names and the layout of
        the output.

    Raises:
        UserError: when the input is not what `source` says, or not of the model.
    """
    import models
    from models.weights.names import layouts

    path = models.locate(origin)
    tool_arguments.check_output("--output", output, [path])
    arrays, _ = models.read_arrays(path)
    reference = models.create(model)
    ours = layouts.to_ours(reference, arrays, origin)
    classes = {ours[f"{head}.bias"].size for head in reference.heads if f"{head}.bias" in ours}
    if classes not in (set(), {_CLASSES}):
        reference = models.create(model, num_classes=max(classes))
    report, _ = models.fit(reference, arrays, origin)
    found = layouts.styles(reference, arrays, origin)
    if source not in found:
        raise UserError(
            f"{origin}: has the names and the layout of {' or '.join(found)}, not of {source}"
        )
    wanted = [name for name in reference.state_dict() if name not in report.dropped]
    kept = {name: ours[name] for name in wanted if name in ours}
    if output.suffix in (".pth", ".pt") or (source == "ours" and output.suffix == ".safetensors"):
        models.write_arrays(output, layouts.to_timm(reference, kept), None)
        return report.dropped, "timm"
    stated = models.input_stats(model, origin)._asdict()
    own = {"format": 1, "model": model, "input": stated, "origin": source}
    models.write_arrays(output, kept, own)
    return report.dropped, "ours"


def main() -> int:
    """Converts the file of the command line; returns the exit code."""
    arguments = _arguments()
    paddle_setup.load_paddle()
    left_out, style = convert(arguments.model, arguments.source, arguments.input, arguments.output)
    if left_out:
        print(f"left out: {listed(left_out)}")
    print(f"{arguments.output}: names and layout: {style}")
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
