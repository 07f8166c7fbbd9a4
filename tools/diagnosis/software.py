"""Checks of Python, of the packages against the requirements, and of the installed Paddle."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from tools.diagnosis.children import ROOT, Answer
from tools.diagnosis.lines import BAD, FINE, LOOK, Line

_OLDEST_PYTHON, _NEWEST_PYTHON = (3, 9), (3, 13)
_OLDEST_PADDLE = "2.6"
_LINE = re.compile(r"([A-Za-z0-9_.-]+)\s*([^;]*)(?:;\s*python_version\s*<\s*\"([\d.]+)\")?")
INSTALL = (
    "pip install -r requirements.txt (CPU), or as requirements-gpu.txt says (a machine with "
    "NVIDIA's driver)"
)


class Requirement(NamedTuple):
    """A line of a file of requirements: what versions of a package may be."""

    name: str
    versions: str  # such as >=1.4,<3; empty: any


def numbers(version: str) -> tuple[int, ...]:
    """Returns the leading numbers of a version: (2, 6, 2) of `2.6.2.post120`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def allows(versions: str, version: str) -> bool:
    """Returns whether a version is within bounds such as `>=1.4,<3`, `==0.17.*` or `==3.3.1`."""
    own = numbers(version)
    for bound in filter(None, (one.strip() for one in versions.split(","))):
        operator, other = re.fullmatch(r"(==|>=|<=|<|>|!=)\s*(.*)", bound).groups()
        wanted = numbers(other)
        length = len(wanted) if other.endswith(".*") else max(len(own), len(wanted))
        a, b = (tuple([*part, *[0] * length][:length]) for part in (own, wanted))
        ways = {"==": a == b, ">=": a >= b, "<=": a <= b, "<": a < b, ">": a > b, "!=": a != b}
        if not ways[operator]:
            return False
    return True


def requirements(file: str, python: tuple[int, ...] = sys.version_info[:2]) -> list[Requirement]:
    """Returns the requirements in a file of the project that are for this Python."""
    found = []
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        parts = _LINE.fullmatch(line.partition("#")[0].strip())
        if parts and not (parts[3] and python >= numbers(parts[3])):
            found.append(Requirement(parts[1], parts[2].strip()))
    return found


def installed() -> dict[str, str]:
    """Returns the versions of what is installed, by names as `plain_name` writes them."""
    found = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:  # a damaged installation has none
            found.setdefault(plain_name(name), one.version)
    return found


def plain_name(name: str) -> str:
    """Returns the name of a package as all of its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Line]:
    """Checks the version of Python."""
    libc = " ".join(platform.libc_ver())
    found = f"{_dotted(version)} on {platform.system()} {platform.machine()} {libc}".rstrip()
    low, high = map(_dotted, (_OLDEST_PYTHON, _NEWEST_PYTHON))
    if version[:2] < _OLDEST_PYTHON:
        yield Line("Python", BAD, found, f"take Python {low} to {high}")
    elif version[:2] > _NEWEST_PYTHON:
        yield Line("Python", LOOK, found, f"not tried; the tests are for {low} to {high}")
    else:
        yield Line("Python", FINE, found)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def packages(versions: Mapping[str, str], broken: Mapping[str, str]) -> Iterator[Line]:
    """Checks the packages that every run needs.

    Args:
        versions: of what is installed.
        broken: why a package that is installed can't be imported.
    """
    wanted = requirements("requirements-base.txt")
    missing = [one.name for one in wanted if plain_name(one.name) not in versions]
    install = "pip install -r requirements-base.txt"
    if missing:
        yield Line("packages", BAD, f"missing: {', '.join(missing)}", install)
    other = [
        f"{one.name} {versions[plain_name(one.name)]} (expected {one.versions})"
        for one in wanted
        if plain_name(one.name) in versions
        and not allows(one.versions, versions[plain_name(one.name)])
    ]
    if other:
        yield Line("packages", LOOK, f"of other versions: {', '.join(other)}", install)
    for name, error in broken.items():
        again = f"pip install --force-reinstall {name}, with its version as requirements-base.txt"
        yield Line("packages", BAD, f"{name} can't be imported: {error}", again)
    if not (missing or other or broken):
        yield Line("packages", FINE, f"the {len(wanted)} of requirements-base.txt")


def broken(answer: Answer) -> dict[str, str]:
    """Returns why packages can't be imported, also the one whose import has ended the probe."""
    found = dict(answer.facts.get("broken", {}))
    if answer.error and answer.stage.startswith("importing ") and "version" in answer.facts:
        found[answer.stage[len("importing ") :]] = answer.error
    return found


def extras(versions: Mapping[str, str]) -> Iterator[Line]:
    """Says which packages are missing that only some tools need."""
    wanted = requirements("requirements-extras.txt")
    missing = [one.name for one in wanted if plain_name(one.name) not in versions]
    other = [
        f"{one.name} {versions[plain_name(one.name)]} (expected {one.versions})"
        for one in wanted
        if plain_name(one.name) in versions
        and not allows(one.versions, versions[plain_name(one.name)])
    ]
    install = "pip install -r requirements-extras.txt"
    if other:
        yield Line("extras", LOOK, f"of other versions: {', '.join(other)}", install)
    elif missing:
        found = f"not installed: {', '.join(missing)}"
        yield Line("extras", FINE, found, f"only some tools need them ({install})")
    else:
        yield Line("extras", FINE, f"the {len(wanted)} of requirements-extras.txt")


def paddle(versions: Mapping[str, str], answer: Answer) -> Iterator[Line]:
    """Checks that there is one Paddle, that it is one that was tried, and that it can be imported.

    Args:
        versions: of what is installed.
        answer: of the probe of Paddle.
    """
    wheels = {name: one for name, one in versions.items() if re.match("paddlepaddle(-|$)", name)}
    named = ", ".join(f"{name} {version}" for name, version in wheels.items())
    facts = answer.facts
    if len(wheels) > 1:
        remedy = f"they overwrite each other: pip uninstall {' '.join(wheels)}, then install one"
        yield Line("Paddle", BAD, f"{len(wheels)} are installed: {named}", remedy)
    if "version" not in facts:
        if not wheels and "No module named" in answer.error:
            yield Line("Paddle", BAD, "not installed", INSTALL)
        else:
            found = f"{named or 'no wheel'}, can't be imported: {answer.error}"
            yield Line("Paddle", BAD, found, answer.remedy or INSTALL)
        return
    version, numpy = facts["version"], versions.get("numpy", "")
    found = f"{version} ({named or 'built from source'})"
    tried = [one.versions for one in _of_paddle("requirements.txt", "requirements-gpu.txt")]
    if version == "0.0.0":  # of a build from its newest source
        yield Line("Paddle", LOOK, found, "a development build was not tried")
    elif not allows(f">={_OLDEST_PADDLE}", version):
        yield Line("Paddle", BAD, found, f"older than {_OLDEST_PADDLE}: {INSTALL}")
    elif not allows(">=3", version) and not allows("<2", numpy):
        remedy = "Paddle 2 needs numpy 1: pip install 'numpy<2'"
        yield Line("Paddle", BAD, f"{found} with numpy {numpy}", remedy)
    elif not any(allows(one, version) for one in tried):
        yield Line("Paddle", LOOK, found, f"not tried; the tests are for {', '.join(tried)}")
    else:
        yield Line("Paddle", FINE, found)


def _of_paddle(*files: str) -> list[Requirement]:
    wanted = [one for file in files for one in requirements(file)]
    return [one for one in wanted if one.name.startswith("paddlepaddle")]


def own_check(answer: Answer) -> Iterator[Line]:
    """Tells how Paddle's `run_check` has ended, in the process of the probe."""
    facts = answer.facts
    if "version" not in facts:
        yield Line("run_check", LOOK, "not run, since Paddle can't be imported")
    elif facts.get("run_check") == "":
        yield Line("run_check", FINE, f"paddle.utils.run_check works on {facts['device']}")
    else:
        error = facts.get("run_check") or answer.error
        found = f"paddle.utils.run_check on {facts.get('device', 'its device')}: {error}"
        yield Line("run_check", BAD, found, answer._replace(error=error).remedy or INSTALL)


def project(describe: Any) -> Iterator[Line]:
    """Tells which state of this project it is.

    Args:
        describe: returns the commit; empty outside of a git checkout.
    """
    text = (Path(ROOT) / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"', text, re.MULTILINE)
    commit = describe()
    changed = ", with changes" if commit.endswith("+") else ""
    where = f"commit {commit.rstrip('+')[:12]}{changed}" if commit else "no git checkout"
    yield Line("project", FINE, f"{version[1] if version else ''}, {where}".lstrip(", "))
