"""The page of `--help` and `-h`: usage, flags, the configs that there are, and examples."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags

from program.config.config_files import experiments

_ASKED = {"-h", "-help", "--help", "--helpshort"}
_WIDTH, _INDENT = 100, " " * 26
_CONFIG = {
    "config=NAME": "The experiment: a name of the list below, or the path of a file with "
    "get_config(). Without it: digits_rdrop; for weights of this project, the config in them.",
    "config.GROUP.FIELD=VALUE": "Another value for a field.",
}
_FIELDS = """\
Fields, such as
  --config.optim.lr=0.003             the peak learning rate
  --config.rdrop.alpha=0.5            the weight of the KL term
  --config.train.epochs=10            the length; or --config.train.steps=1000
  --config.train.batch_size=64        images of a card in one forward pass
  --config.model.name=deit_s          the model (python -m tools.models --names lists them)
  --config.model.pretrained=deit_s    the weights to begin with
  --config.data.root=my_images        where the images are
  configs/default.py has all of them, with their defaults and what they mean."""
_EXAMPLES = {
    "main.py": """\
  python main.py
  python main.py --config=folder_small --config.data.root=my_images --workdir=output/mine
  python main.py --config=cifar100_vit_b_384 --dry_run
  python main.py --config=tiny_imagenet_swin_l_384 --row=rdrop --max_hours=11.5
  python -m paddle.distributed.launch --gpus 0,1 main.py --config=cifar100_vit_b_384
The same command goes on with a run that was stopped. docs/usage.md says more.""",
    "val.py": """\
  python val.py --weights=output/digits_rdrop
  python val.py --weights=output/digits_rdrop/weights.safetensors --split=val --json=result.json
  python val.py --config=folder_small --config.data.root=my_images --weights=w.pdparams""",
}


def is_wanted(argv: Sequence[str]) -> bool:
    """Returns whether the command line asks for the page."""
    return bool(_ASKED.intersection(argv[1:]))


def show(program: str) -> NoReturn:
    """Prints the page, and ends the program.

    Args:
        program: the first word of the command line, under which the flags are defined.
    """
    print(page(program, sys.modules["__main__"].__doc__ or ""))
    sys.exit(0)


def own_flags(program: str) -> list[str]:
    """Returns the names of the flags of a program, without those of libraries."""
    return ["config", *(flag.name for flag in _flags(program))]


def page(program: str, text: str) -> str:
    """Returns the page.

    Args:
        program: the first word of the command line.
        text: what the program is for; its usage.
    """
    lines = [*_CONFIG.items(), *(_described(flag) for flag in _flags(program))]
    configs = [(path.stem, _summary(path)) for path in experiments()]
    examples = _EXAMPLES.get(Path(program).name, "")
    parts = [
        text.strip(),
        "\n".join(["Flags", *(_entry(f"--{name}", said) for name, said in lines)]),
        _FIELDS,
        "\n".join(["Configs (configs/NAME.py)", *(_entry(name, said) for name, said in configs)]),
        *([f"Examples\n{examples}"] if examples else []),
    ]
    return "\n\n".join(parts)


def _flags(program: str) -> list[flags.Flag]:
    found = flags.FLAGS.flags_by_module_dict()
    return [flag for module in (program, "program.command_line") for flag in found.get(module, [])]


def _described(flag: flags.Flag) -> tuple[str, str]:
    value = "" if flag.boolean else "=VALUE"
    choices = getattr(flag.parser, "enum_values", None)
    value = f"={'|'.join(choices)}" if choices else value
    default = f" Default: {flag.default}." if flag.default not in (None, "", False) else ""
    said = re.sub(r"^<[^>]*>: ", "", flag.help or "")  # absl's list of the choices
    return f"{flag.name}{value}", said + default


def _entry(name: str, said: str) -> str:
    """Returns a name with what is said of it next to it, or below it if the name is long."""
    lines = textwrap.wrap(said, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    begin = f"  {name}"
    if lines and len(begin) < len(_INDENT) - 1:
        return "\n".join([begin.ljust(len(_INDENT)) + lines[0].lstrip(), *lines[1:]])
    return "\n".join([begin, *lines])


def _summary(path: Path) -> str:
    """Returns the first line of a file's docstring; the file is not run."""
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (OSError, SyntaxError, ValueError):
        return ""
    return text.partition("\n")[0]
