"""List the models: parameters, multiply-adds, and which published weights there are.

    python -m tools.models            all of them: half a minute to a few minutes, since each is built and run once
    python -m tools.models vit_b      those whose names hold one of the words

Multiply-adds are of one image at the model's own size, attention products included. Each source of
weights is what --config.model.pretrained takes; a name alone is PPIM's (of a ResNet, Paddle's).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError, nearest
from program import exits, paddle_setup, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.models", __doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="parts of the names; none: all")
    parser.add_argument(
        "--names", action="store_true", help="the names and the weights only: at once"
    )
    parser.add_argument("--json", type=Path, help="write the list there, too")
    return parser.parse_args()


def rows(words: list[str], names_only: bool = False) -> Iterator[dict]:
    """One dict a model: `name`, `image_size`, `parameters`, `multiply_adds` (both None with
    `names_only`), `weights`.

    Raises:
        UserError: when no name has one of the words.
    """
    import models
    from models import flops
    from models.weights import published

    chosen = [name for name in models.MODELS if not words or any(word in name for word in words)]
    if not chosen:
        raise UserError(
            f"no model has {' or '.join(map(repr, words))} in its name{nearest(words[0], models.MODELS)}"
        )
    for name in chosen:
        size, parameters, multiply_adds = models.native_size(name), None, None
        if not names_only:
            model = models.create(name)
            parameters, multiply_adds = (
                flops.parameters(model),
                flops.cost(model, size).multiply_adds,
            )
        row = {
            "name": name,
            "image_size": size,
            "parameters": parameters,
            "multiply_adds": multiply_adds,
        }
        yield {**row, "weights": published.sources(name)}


def _brief(sources: list[str]) -> str:
    """Sources on one line, those that differ in the tag alone as the shell would expand them."""
    tags = {}
    for source in sources:
        name, _, tag = source.partition(".")
        tags.setdefault(name, []).append(tag)
    words = []
    for name, found in tags.items():
        tag = found[0] if len(found) == 1 else f"{{{','.join(found)}}}"
        words.append(f"{name}.{tag}" if tag else name)
    return " ".join(words) or "-"


def main() -> int:
    """Print the list; gives the exit code."""
    arguments = _arguments()
    tool_arguments.check_output("--json", arguments.json)
    paddle_setup.load_paddle()
    found = []
    for row in rows(arguments.words, arguments.names):
        if not found:
            print(
                f"{'model':22} {'pixels':>6} {'parameters':>12} {'multiply-adds':>14}  weights",
                flush=True,
            )
        counts = f"{'':12} {'':14}"
        if not arguments.names:
            counts = f"{row['parameters']:12,} {row['multiply_adds'] / 1e9:12.3f} G"
        print(
            f"{row['name']:22} {row['image_size']:6} {counts}  {_brief(row['weights'])}", flush=True
        )
        found.append(row)
    if arguments.json:
        write_json(arguments.json, found)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
