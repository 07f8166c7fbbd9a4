"""Tell what is in a weights file, and how to use it.

    python -m tools.weights FILE            a file or a folder of any library
    python -m tools.weights hf/OWNER/NAME   or another source that --config.model.pretrained takes

Only headers are read where the format allows it, so that a file of gigabytes takes a moment.
"""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from typing import Any

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from program import exits, paddle_setup, tool_arguments

_FEW = 5  # names that are shown of many


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.weights", __doc__)
    add = parser.add_argument
    add("source", metavar="FILE", help="the weights")
    add("--json", type=user_path, help="write all of it there, too")
    add("--arrays", action="store_true", help="list every array with its shape")
    return parser.parse_args()


def look(source: str) -> dict[str, Any]:
    """Returns what is known of weights, in the order in which it is shown.

    Args:
        source: as `models.load_weights` takes it.

    Raises:
        UserError: when it can't be read.
    """
    import models
    from models.weights.told import part_checks
    from models.weights.told.architecture import architecture_of

    weights = models.read_weights(source, values=False)
    found: dict[str, Any] = {
        "file": str(models.locate(source)),
        "format": weights.kind,
        "library": weights.library or "not known",
        "model": part_checks.described(weights) or "not known",
        "precision": ", ".join(
            f"{kind} ({count} arrays)"
            for kind, count in Counter(str(a.dtype) for a in weights.arrays.values()).most_common()
        ),
        "parameters": sum(array.size for array in weights.arrays.values()),
        "input": models.stated_input(source),
        "classes": list(weights.description.classes),
        "dropped": list(weights.dropped),
        "notes": list(weights.said),
        "choices": list(weights.choices),
        "arrays": {name: list(array.shape) for name, array in weights.arrays.items()},
    }
    try:
        name, parts, reasons = architecture_of(weights)
    except UserError as error:
        return {**found, "use": [], "why_not": str(error)}
    known = f"--config.model.name={name} --config.model.pretrained={shlex.quote(source)}"
    told = [f"{key}={value}: {reasons[key]}" for key, value in parts.items()]
    return {**found, "parts": told, "use": [known, "or with --config.model.name=auto"]}


def _lines(found: dict[str, Any]) -> list[str]:
    """Returns what is shown of what was found."""
    stated, classes = found["input"], found["classes"]
    images = "nothing says which images they expect: the usual of the model is taken"
    if stated:
        images = ", ".join(f"{key} {value}" for key, value in stated.items())
    shown = {
        "file": f"{found['file']} ({found['format']})",
        "library": found["library"],
        "model": found["model"],
        "parts": "; ".join(found.get("parts", ())),
        "parameters": f"{found['parameters']:,}, {found['precision']}",
        "images": images,
        "classes": f"{', '.join(classes[:_FEW])}{' ...' if len(classes) > _FEW else ''}",
        "left out": f"{len(found['dropped'])} arrays" if found["dropped"] else "",
        "also there": " ".join(f"#{name}" for name in found["choices"]),
    }
    lines = [f"{key + ':':12}{value}" for key, value in shown.items() if value]
    lines += [f"{'note:':12}{note}" for note in found["notes"]]
    lines += [f"{'use:' if not place else '':12}{line}" for place, line in enumerate(found["use"])]
    return lines + ([f"{'but:':12}{found['why_not']}"] if "why_not" in found else [])


def main() -> int:
    """Shows what is in the weights of the command line; returns the exit code."""
    arguments = _arguments()
    tool_arguments.check_output("--json", arguments.json)
    paddle_setup.load_paddle()
    found = look(arguments.source)
    print(*_lines(found), sep="\n")
    if arguments.arrays:
        print(*(f"{name:60} {shape}" for name, shape in found["arrays"].items()), sep="\n")
    if arguments.json:
        write_json(arguments.json, found)
    return exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
