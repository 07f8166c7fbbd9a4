"""List the models: parameters, multiply-adds, and which published weights there are.

    python -m tools.models            all of them; each is built and run once, which takes minutes
                                      (of a ViT two blocks, which tell the cost of all)
    python -m tools.models vit_b      those whose names contain one of the words

Multiply-adds are of one image at the model's own size, attention products included. Each source of
weights is what --config.model.pretrained takes; a name alone is PPIM's (of a ResNet, Paddle's).
"""

import argparse
from collections.abc import Iterator

from common.atomic_writing import write_json
from common.errors import UserError, nearest
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments

_NAME = 40  # columns of a name


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.models", __doc__)
    add = parser.add_argument
    add("words", nargs="*", metavar="WORD", help="parts of the names; none: all")
    add("--names", action="store_true", help="the names and the weights only: at once")
    add("--json", type=user_path, help="write the list there, too")
    return parser.parse_args()


def rows(words: list[str], names_only: bool = False) -> Iterator[dict]:
    """Yields a row for each model whose name contains one of the words; for no words, for all.

    A row is `name`, `image_size`, `parameters`, `multiply_adds` (both None with `names_only`) and
    `weights`.

    Raises:
        UserError: when no name contains one of the words.
    """
    import models
    from models import flops
    from models.weights.sources import published

    chosen = [name for name in models.MODELS if not words or any(word in name for word in words)]
    if not chosen:
        raise UserError(
            f"no model has {' or '.join(map(repr, words))} in its name"
            f"{nearest(words[0], models.SUGGESTED)}"
        )
    for name in chosen:
        row = {"name": name, "image_size": models.native_size(name)}
        row.update(parameters=None, multiply_adds=None)
        if not names_only:
            row["parameters"], row["multiply_adds"] = flops.of_name(name)
        yield {**row, "weights": published.sources(name)}


def _brief(sources: list[str]) -> str:
    """Returns sources on one line; `NAME.{A,B}` for those that differ only in the tag."""
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
    """Prints the list; returns the exit code."""
    arguments = _arguments()
    tool_arguments.check_output("--json", arguments.json)
    paddle_setup.load_paddle()
    counts = f"{'parameters':>13} {'multiply-adds':>14}"
    title = f"{'model':{_NAME}} {'pixels':>6} {counts}  weights"
    found = []
    for row in rows(arguments.words, arguments.names):
        counts = f"{'':13} {'':14}"
        if not arguments.names:
            counts = f"{row['parameters']:13,} {row['multiply_adds'] / 1e9:12.3f} G"
        line = f"{row['name']:{_NAME}} {row['image_size']:6} {counts}  {_brief(row['weights'])}"
        print(*([] if found else [title]), line, sep="\n", flush=True)
        found.append(row)
    if arguments.json:
        write_json(arguments.json, found)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
