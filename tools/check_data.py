"""Check a data set before training: every image is read to its end.

    python -m tools.check_data ROOT [--output=DIR] [--json=FILE]
    python -m tools.check_data --config=configs/NAME.py [--config.data.field=value ...]

ROOT is a folder or an archive; which data set it is, is found out. With --config the parts are
those of a run. Finds damaged images, images with the same pixels in one part, in training and test,
or with different classes, missing and small classes, and prints what to do. Writes check.html,
which opens from the disk, and check.json. Exit code 1: something spoils a result.
"""

import re
from pathlib import Path

from absl import flags

from common.atomic_writing import write_json, write_text
from common.errors import UserError, one_line
from common.reading import user_path
from program import command_line, exits, paddle_setup, tool_arguments
from program.config import config_validation

_ENDINGS = re.compile(r"\.(zip|tar|tgz|tbz2|txz)(\.(gz|bz2|xz))?$", re.IGNORECASE)


def _parse(argv: list[str]) -> list[str]:
    """Defines and reads the flags; an import does not define them."""
    flags.DEFINE_string(
        "output", "", "Folder of check.html and check.json; empty: output/check_data_<name>."
    )
    flags.DEFINE_string("json", "", "Where to write the JSON in place of check.json.")
    command_line.define_row()
    return command_line.parse(argv, most_words=1)


def _config(words: list[str]):
    """Returns the config of the flags, and a name for the output; `data.name` may be empty."""
    values = command_line.FLAGS
    config = next(iter(command_line.stages(values.row).values()))
    if not words:
        if values["config"].using_default_value and not command_line.overrides():
            raise UserError("give a folder or an archive, or --config=FILE (--help says more)")
        config_validation.validate(config)
        return config, command_line.output_folder("").name
    if not values["config"].using_default_value:
        raise UserError(
            f"give either {words[0]} or --config=FILE; with a config the data is --config.data.root"
        )
    config_validation.validate(config)
    given = {"data.name": "", "data.holdout": 0.0, **command_line.overrides()}
    config.update_from_flattened_dict({**given, "data.root": words[0]})
    return config, _ENDINGS.sub("", Path(words[0]).resolve().name)


def check(config):
    """Reads all images of a config's data set.

    Returns:
        What is known, for JSON; what is wrong; and the HTML of the page.

    Raises:
        UserError: when the data is missing, or is not what the config says.
    """
    from data import has_own_val, usual_exif
    from data.check import duplicates, facts, findings, parts, scan
    from data.sets.registry import find_entry
    from engine.results.console import progress_bar
    from engine.results.progress_lines import CountLines
    from tools.check.page import render

    loaded = parts.load_parts(config)
    images = sum(len(one.labels) for one in loaded.values())
    with progress_bar(images) as bar:
        advance = CountLines("read", images, "images") if bar.disable else bar.update
        root, side = str(user_path(config.data.root)), find_entry(config.data.name).side
        scans = scan.scan(loaded, root, side, advance)
    found = duplicates.find(scans)
    known = {
        "name": config.data.name,
        "root": config.data.root,
        **facts.collect(scans, found, loaded["train"].classes),
    }
    exif = config.data.exif_orientation
    applied = (usual_exif(config.data.name) if exif == "auto" else exif) == "apply"
    held_out = "val" in loaded and not has_own_val(config)
    wrong = findings.judge(known, applied, held_out)
    known["findings"] = [one._asdict() for one in wrong]
    return known, wrong, render(known, wrong, scans, found.groups)


def main(argv: list[str]) -> int:
    """Checks the data of the flags; returns the exit code."""
    values = command_line.FLAGS
    config, name = _config(argv[1:])
    folder = user_path(values.output or f"output/check_data_{name}")
    json_path = user_path(values.json) if values.json else folder / "check.json"
    tool_arguments.check_folder("--output", folder)
    tool_arguments.check_output("--json", json_path, [config.data.root])
    paddle_setup.load_paddle()
    import data
    from data.check import which_set

    config.data.name = config.data.name or which_set.name_of(config.data)
    data.check_outside(config.data, folder, "--output")
    known, wrong, page = check(config)
    write_text(folder / "check.html", page)
    write_json(json_path, known)
    notes = [note for part in known["parts"].values() for note in part["notes"]]
    print(*map(one_line, [describe(known), *dict.fromkeys(notes)]), sep="\n")
    for one in wrong:
        kind = "problem" if one.spoils else "warning"
        print(one_line(f"{kind}: {one.text}; {one.remedy}"))
    if not wrong:
        print("nothing is wrong: each image is readable, and comes once")
    print(f"page: {folder / 'check.html'}, numbers: {json_path}")
    return exits.FAILED_EXPECTATION if any(one.spoils for one in wrong) else exits.DONE


def describe(known: dict) -> str:
    """Returns a line about the parts."""
    parts = [
        f"{one['images']:,} {name}" + (f" ({one['origin']})" if one["origin"] else "")
        for name, one in known["parts"].items()
    ]
    return f"data: {known['name']}, {known['classes']:,} classes, images: {', '.join(parts)}"


if __name__ == "__main__":
    exits.run(main, _parse)
