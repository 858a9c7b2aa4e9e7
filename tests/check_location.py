"""Why a code location's definitions do not load, in a line or two: check_location.py FOLDER

Run by the location's own Python. Prints nothing and ends with 0 when they load; else with 1, and
file, line and message: the last place in the location's own code, and the innermost exception.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path


def load(folder: Path) -> None:
    """Load and resolve the definitions, as a code server does."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    module = project.get("code_location_target_module", f"{project['root_module']}.definitions")
    loaded = vars(importlib.import_module(module))

    import dagster as dg

    for value in loaded.values():
        if isinstance(value, dg.Definitions):
            dg.Definitions.validate_loadable(value)


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, innermost last."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def explain(error: BaseException, folder: Path) -> list[str]:
    """File with line and message, the line's text, and where a name in the message is defined."""
    errors = list(chain(error))
    cause = errors[-1]
    message = f"{type(cause).__name__}: {_first_lines(cause)}"
    if isinstance(cause, SyntaxError) and cause.filename:
        where, text = f"{_shown(cause.filename)}:{cause.lineno}", (cause.text or "").strip()
        return [f"{where}: {type(cause).__name__}: {cause.msg}", f"    {text}"]
    frames = [
        frame
        for each in errors
        for frame in traceback.extract_tb(each.__traceback__)
        if _is_own(frame.filename, folder)
    ]
    # The outer errors come first: the last frame of the innermost one that has any.
    lines = [f"{_shown(str(folder))}: {message}"]
    if frames:
        last = frames[-1]
        lines = [f"{_shown(last.filename)}:{last.lineno}: {message}", f"    {last.line}"]
    return lines + [f"    see {place}" for place in _definitions(message, folder)]


def _definitions(message: str, folder: Path) -> list[str]:
    """Where functions or assets are defined that the message names by their keys."""
    if "AssetKey" not in message and "asset key" not in message.lower():
        return []
    names = {
        name for part in re.findall(r"\[[^]]*\]", message) for name in re.findall(r"\w+", part)
    }
    pattern = re.compile(
        r"(?:def |name=[\"']|key=[\"'])(" + "|".join(map(re.escape, names)) + r")\b"
    )
    return [
        f"{_shown(str(file))}:{number}: {line.strip()}"
        for file in sorted((folder / "src").rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if names and pattern.search(line)
    ]


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or "no message"


def _is_own(filename: str, folder: Path) -> bool:
    path = Path(filename)
    return path.is_relative_to(folder) and ".venv" not in path.parts


def _shown(filename: str) -> str:
    return os.path.relpath(filename)


if __name__ == "__main__":
    location = Path(sys.argv[1]).resolve()
    try:
        load(location)
    except BaseException as error:  # what code raises at import may be anything
        print("\n".join(explain(error, location)))
        # Threads of what was imported could hold the process.
        sys.stdout.flush()
        os._exit(1)
