"""Where alerts go: a URL for each channel of the stack and of each location, as files of their own.

Standard library only, for the image of the secrets. What reads them: deploy/alerts.
"""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from pathlib import Path

from control_plane.errors import StackError
from control_plane.secret_files import write

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def place(directory: Path, name: str, location: str) -> Path:
    """The file of a channel; without ``location`` of the stack's. Raises StackError."""
    for what, text in (("NAME", name), ("LOCATION", location)):
        if (text or what == "NAME") and not _NAME.fullmatch(text):
            raise StackError(
                f"{what} is {text[:64]!r}: use lower-case letters, digits, - and _."
                " Fix: make alert-channel NAME=slack, with LOCATION=elt for one code location"
            )
    return directory / ("stack" if not location else f"locations/{location}") / name


def add(file: Path, url: str, owner: int | None) -> None:
    """Store a URL. Raises StackError if it is none; it is not shown."""
    if "://" not in url or any(character.isspace() for character in url):
        raise StackError(
            "this is not an Apprise URL, such as slack://...; nothing was changed."
            " Fix: https://appriseit.com lists the services"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, url, owner)


def main(arguments: list[str] | None = None) -> None:
    """Command line: add a channel (or change one), or remove one."""
    parser = argparse.ArgumentParser(prog="alert-channels", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--owner", type=int, help="uid of what reads them")
    parser.add_argument("command", choices=("add", "remove"))
    parser.add_argument("name")
    parser.add_argument("location", nargs="?", default="")
    options = parser.parse_args(arguments)
    try:
        file = place(options.directory, options.name, options.location)
        if options.command == "add":
            add(file, getpass.getpass("Apprise URL: ").strip(), options.owner)
            print(f"Channel {options.name} is stored. To try it: make alert-test")
        elif file.exists():
            file.unlink()
            print(f"Channel {options.name} is removed.")
        else:
            raise StackError(f"there is no channel {options.name!r} there. Fix: another name")
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
