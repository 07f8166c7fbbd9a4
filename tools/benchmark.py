"""Measure the speed of training and evaluation on made-up images, and what R-Drop costs.

    python -m tools.benchmark train --model vit_ti_16 --batch 8 --copies 2 --shared_blocks 6
    python -m tools.benchmark eval --model vit_ti_16 --batch 16
    python -m tools.benchmark cost --model vit_ti_16 --batch 8 --shared_blocks 6
    python -m tools.benchmark train --model deit_ti --batch 16 --optimizer momentum --peer timm
    python -m tools.benchmark train --model deit_ti --batch 16 --optimizer momentum --peak
    python -m tools.benchmark checkpoint --model vit_s_16 --batch 8 --optimizer adamw
    python -m tools.benchmark data --image_size 384 --batch 64 --data_root tiny-imagenet-200.zip
    python -m tools.benchmark jpeg --image_size 224 --batch 32 --data_root tiny-imagenet-200.zip
    python -m tools.benchmark startup --rounds 5
    python -m tools.benchmark memory --model vit_b_16_384 --batch 1 --operators plain --recompute

Machines are shared and noisy, so most kinds measure in rounds, in each of which everything takes
one turn. Compare the ratios within rounds: the median of them is printed.

train, eval   A step, or the evaluation of a batch. With --peer timm in turns with PyTorch and timm
              (install both), each side in one process and in one for each core; the better one of
              each counts. With --peak in turns with products of large matrices.
cost          A step of plain cross-entropy, one of R-Drop, and one of R-Drop with shared blocks, on
              the same images.
checkpoint    A step by itself, a step while a checkpoint is written in the background, as the
              trainer does it, and a step that waits until it is on the disk (below TMPDIR).
data          Without a model: the images that one core reads and transforms, in turns with stock
              transforms. Times the workers, a GPU has to wait for it, or not.
jpeg          The JPEGs of ImageNet's size that one core decodes and transforms, by decoder.
memory        The peak memory of a step with the batch, and with twice and three times as many
              images, each in a process of its own: what an image needs, and what is needed in
              addition to the images (see tools/measure/peak_memory.py).
startup       `python main.py` with one step: the seconds until the step begins, and of all.
"""

import argparse
import os
import pkgutil
from typing import NamedTuple

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from program import environment, exits, paddle_setup, tool_arguments


class Kind(NamedTuple):
    """Something that can be measured. A function is named `module:function`, below tools.measure.

    The modules import Paddle, so they are not imported before `load_paddle`.
    """

    measure: str  # prints what it finds, and returns what --json writes
    options: tuple[str, ...] = ()  # those of `_SPECIAL` that have a meaning
    serve: str = ""  # what a worker process does that this kind starts
    rounds: int = 11  # unless --rounds is given
    copies: bool = True  # whether --copies and --shared_blocks have a meaning
    one_core: bool = False


KINDS = {
    "train": Kind("speed:train", ("peak", "peer", "precision"), serve="speed:serve"),
    "eval": Kind("speed:evaluate", ("precision", "peer"), serve="speed:serve", copies=False),
    "cost": Kind("speed:cost"),
    "checkpoint": Kind("speed:checkpoint"),
    "data": Kind("data_loading:measure", ("data_root",), one_core=True),
    "jpeg": Kind("jpeg_decoding:measure", ("data_root",), copies=False, one_core=True),
    "memory": Kind("peak_memory:measure", serve="peak_memory:serve", rounds=1),
    "startup": Kind("startup:measure"),
}
# Options that have a meaning for some kinds only, with their default and what to say otherwise.
_SPECIAL = {
    "data_root": ("", "has no meaning for {kind}: it is that of data and jpeg"),
    "peak": (False, "has a meaning for train alone, without --peer"),
    "precision": ("float32", "has no meaning for {kind}: it is that of train and eval"),
    "peer": (None, "has no meaning for {kind}: it compares train and eval"),
}


def _arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.benchmark", __doc__)
    add = parser.add_argument
    add("what", choices=tuple(KINDS))
    add("--model", default="vit_ti_16", help="a name of models.MODELS")
    add("--image_size", type=int, default=0, help="in pixels; 0: the model's own")
    add("--batch", type=int, default=8, help="images of a step, each passing `copies` times")
    add("--classes", type=int, default=1000)
    add("--copies", type=int, default=2)
    add("--shared_blocks", type=int, default=0)
    add("--drop_rate", type=float, default=0.1)
    add("--optimizer", default="adamw", help="adamw, momentum or sgd")
    add("--rounds", type=int, help="measurements of each; 11, of memory 1")
    add("--amp", default="", help="O1 or O2, as train.amp: half precision on a GPU")
    add("--operators", default="auto", help="auto or plain, as model.operators")
    add("--recompute", action="store_true", help="as train.recompute")
    add("--keep_freed", action="store_true", help="memory: of a process as the trainer has it")
    add("--peak", action="store_true", help="train: compare with the fastest product of matrices")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of both sides")
    add("--peer", choices=("timm",), help="compare with it; for train and eval")
    add("--serve", choices=("ours", "timm"), help=argparse.SUPPRESS)  # set for worker processes
    add("--data_root", default="", help="of Tiny ImageNet, for data and jpeg; else made-up images")
    add("--json", type=user_path, help="write everything there, too")
    return parser.parse_args(words)


def _check(arguments: argparse.Namespace, kind: Kind) -> None:
    """Checks that the options have a meaning for what is measured."""
    if arguments.rounds is not None and arguments.rounds < 1:
        raise UserError(f"--rounds is {arguments.rounds}, expected 1 or more")
    for option, (default, message) in _SPECIAL.items():
        fits = option in kind.options and not (option == "peak" and arguments.peer)
        if getattr(arguments, option) != default and not fits:
            raise UserError(f"--{option} {message.format(kind=arguments.what)}")
    tool_arguments.check_output("--json", arguments.json)


def main() -> int:
    """Measures what the command line asks for; returns the exit code."""
    arguments = _arguments()
    kind = KINDS[arguments.what]
    _check(arguments, kind)
    arguments.rounds = arguments.rounds or kind.rounds
    if not kind.copies:
        arguments.copies, arguments.shared_blocks = 1, 0
    if kind.one_core:
        os.environ["OMP_NUM_THREADS"] = "1"
    paddle_setup.load_paddle()
    function = "speed:compare" if arguments.peer else kind.measure
    function = kind.serve if arguments.serve else function
    found = pkgutil.resolve_name(f"tools.measure.{function}")(arguments)
    if arguments.json:
        import paddle

        content = {
            "model": arguments.model,
            "settings": {name: value for name, value in vars(arguments).items() if name != "json"},
            "environment": environment.describe(paddle.device.get_device()),
        }
        write_json(arguments.json, {**content, **found})
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
