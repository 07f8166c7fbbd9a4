"""Says what a word of the command line may have meant that is neither a flag nor a field."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import UserError
from common.reading import user_path
from common.similar_names import similar
from program.config import config_files
from program.config.config_fields import field_names

# What other programs call our flags and fields.
_ELSEWHERE = {
    **dict.fromkeys(("model", "arch", "architecture", "backbone"), "config.model.name"),
    **dict.fromkeys(("data", "dataset", "data_name"), "config.data.name"),
    **dict.fromkeys(("data_dir", "data_path", "data_root", "dataset_dir"), "config.data.root"),
    **dict.fromkeys(("opt", "optim", "optimizer", "optimiser"), "config.optim.name"),
    **dict.fromkeys(("output", "output_dir", "out", "save_dir", "log_dir", "logdir"), "workdir"),
    **dict.fromkeys(("checkpoint", "ckpt", "model_path"), "weights"),
}
_RULE = "; flags begin with --, fields of the config with --config. (--help lists them)"
_GOES_ON = ("resume", "auto_resume")


def unknown_flag(name: str, flags: Iterable[str]) -> UserError:
    """Returns the error for a flag that does not exist.

    Args:
        name: of the flag, without its dashes.
        flags: the names of those that there are.
    """
    if name.replace("-", "_") in _GOES_ON:
        return UserError(f"--{name} is no flag: a run goes on when its command is given again")
    return UserError(f"--{name} is no flag{_meant(name, '', list(flags))}")


def stray_word(word: str, flags: Iterable[str], config: str) -> UserError:
    """Returns the error for a word that is neither a flag nor the value of one.

    Args:
        word: as it was given.
        flags: the names of the flags that there are.
        config: the path of the config file; empty for none.
    """
    begin, flags = f"{word!r} is not a flag", list(flags)
    name, equals, value = word.partition("=")
    if equals:
        return UserError(begin + _meant(name, f"={value}", flags))
    if "weights" in flags and user_path(word).exists():
        return UserError(f"{begin}; did you mean --weights={word}?")
    if config and "row" in flags and word in config_files.load_table(config, "get_rows"):
        return UserError(f"{begin}; did you mean --row={word}?")
    named = config_files.nearest_file(word)
    if named:
        return UserError(f"{begin}; did you mean --config={named}?")
    close = similar(word, flags)
    return UserError(begin + (f"; did you mean --{close[0]}?" if close else _RULE))


def _meant(name: str, value: str, flags: list[str]) -> str:
    """Returns a hint: the flags or fields that are named like a word, with its value."""
    plain = name.replace("-", "_").lower()
    other = _ELSEWHERE.get(plain, "")
    if other.startswith("config.") or other in flags:
        return f"; did you mean --{other}{value}?"
    fields = field_names()
    for prefix in ("config.", "config_", "no"):
        rest = plain.removeprefix(prefix)
        found = similar(rest, [*flags, *fields]) if rest != plain or prefix == "no" else []
        if found:
            words = [f"--{'config.' * (one in fields)}{one}{value}" for one in found]
            return f"; did you mean {' or '.join(words)}?"
    return _RULE
