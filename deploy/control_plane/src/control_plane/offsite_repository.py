"""Password and credentials of the repository that backups are copied to.

Standard library only, for the image of the secrets. What reads them: deploy/backup.
"""

from __future__ import annotations

import argparse
import getpass
import re
import secrets
import shutil
import sys
from pathlib import Path

from control_plane.errors import StackError
from control_plane.secret_files import write

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_OF_S3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def wanted(url: str, names: str) -> list[str]:
    """The variables to ask for: ``names``, or those of the repository's kind. Raises StackError."""
    found = names.split() or list(_OF_S3 if url.startswith("s3:") else ())
    for name in found:
        if not _NAME.fullmatch(name):
            raise StackError(
                f"VARIABLES has {name[:64]!r}: not the name of an environment variable."
                " Fix: such as VARIABLES='B2_ACCOUNT_ID B2_ACCOUNT_KEY'"
            )
    return found


def ask(url: str, names: list[str], directory: Path, owner: int | None) -> None:
    """Ask for all, and store it in ``directory/new``, to be tried before it counts.

    Raises StackError for an empty value; nothing is stored then.
    """
    lines = []
    for name in names:
        value = getpass.getpass(f"{name}: ").strip()
        if not value or any(character.isspace() for character in value):
            raise StackError(f"{name} is empty or has spaces; nothing was changed. Fix: once more")
        lines.append(f"{name}={value}\n")
    present = directory / "password"
    choice = "the present one stays" if present.exists() else "one is made"
    given = getpass.getpass(f"Password of the repository {url} (empty: {choice}): ").strip()
    new = directory / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    write(new / "environment", "".join(lines), owner)
    if not given and not present.exists():
        write(new / "made", "", owner)
        given = secrets.token_urlsafe(32)
    write(new / "password", given or present.read_text(), owner)


def accept(directory: Path) -> str | None:
    """What was tried counts from now on; the password, if it was made here."""
    new = directory / "new"
    made = (new / "password").read_text() if (new / "made").exists() else None
    for name in ("environment", "password"):
        (new / name).replace(directory / name)
    shutil.rmtree(new)
    return made


def main(arguments: list[str] | None = None) -> None:
    """Command line: ask for what opens a repository, or accept it after it was tried."""
    parser = argparse.ArgumentParser(prog="offsite-repository", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--owner", type=int, help="uid of what reads them")
    parser.add_argument("--variables", default="", help="names to ask for, in place of AWS_...")
    parser.add_argument("command", choices=("ask", "accept"))
    parser.add_argument("url")
    options = parser.parse_args(arguments)
    try:
        if options.command == "ask":
            names = wanted(options.url, options.variables)
            ask(options.url, names, options.directory, options.owner)
        elif made := accept(options.directory):
            print(f"The password of the repository, shown this once: {made}")
            print("Keep it outside this machine: without it, nobody can read the copies.")
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
