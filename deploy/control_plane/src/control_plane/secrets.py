"""Random passwords as files, each readable by its consumers alone.

Standard library only: as ``python -m control_plane.secrets`` this is all that a small image of
its own needs.
"""

from __future__ import annotations

import argparse
import re
import secrets as random_source
import sys
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import StackError
from control_plane.secret_files import write
from control_plane.web_access import keep_editors, renew_certificate

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SHARE = re.compile(r"(?P<directory>[^:=]+)(:(?P<owner>\d+))?=(?P<names>.+)")


FORMER = "_former"
"""Ends the name of a secret that holds what another one was before."""


@dataclass(frozen=True)
class Share:
    """Copies of some secrets for one consumer: a directory, its owner's uid, the names."""

    directory: Path
    owner: int | None
    names: tuple[str, ...]


def parse_share(text: str) -> Share:
    """Read ``DIRECTORY[:UID]=NAME[,NAME...]``; raises StackError on any other form."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise StackError(f"--share {text!r}: expected DIRECTORY[:UID]=NAME[,NAME...]")
    names = tuple(match["names"].split(","))
    for name in names:
        _check_name(name)
    owner = int(match["owner"]) if match["owner"] else None
    return Share(Path(match["directory"]), owner, names)


def provision(
    vault: Path,
    names: Iterable[str],
    shares: Iterable[Share] = (),
    keep: Container[str] | None = None,
) -> list[str]:
    """Make the missing secrets in ``vault`` and bring every share in line with it.

    Present ones are not changed, unless ``keep`` names the few that are not to be. A secret that
    has a second one of its name and ``_former`` leaves its value there. Returns the names that
    were made, in order.
    """
    shares = list(shares)
    wanted = [*names, *(name for share in shares for name in share.names)]
    made = []
    vault.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(wanted):
        _check_name(name)
        present = (vault / name).exists()
        renewed = keep is not None and name not in keep and not name.endswith(FORMER)
        if not present or renewed:
            if present and name + FORMER in wanted:
                write(vault / (name + FORMER), read(vault, name), owner=None)
            write(vault / name, random_source.token_urlsafe(32), owner=None)
            made.append(name)
        # One that a person put there has the mode of that person's tool.
        (vault / name).chmod(0o400)
    for share in shares:
        for name in share.names:
            value = read(vault, name)
            target = share.directory / name
            if not target.exists() or target.read_text() != value:
                write(target, value, share.owner)
    return made


def read(directory: Path, name: str) -> str:
    """The secret's value; raises StackError naming the file when it cannot be read."""
    path = directory / name
    try:
        value = path.read_text().strip()
    except OSError as error:
        raise StackError(f"secret file {path}: {error.strerror}") from None
    if not value:
        raise StackError(f"secret file {path} is empty")
    return value


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StackError(f"secret name {name!r}: use lower-case letters, digits and _")


def main(arguments: list[str] | None = None) -> None:
    """Command line: make missing secrets, copy them to their consumers, keep present ones."""
    parser = argparse.ArgumentParser(
        prog="control-plane secrets",
        description="Make missing random passwords, one file of mode 0400 each; keep the others.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="secrets to make")
    parser.add_argument("--directory", type=Path, required=True, help="where all are kept")
    parser.add_argument(
        "--share",
        action="append",
        default=[],
        metavar="DIRECTORY[:UID]=NAME[,NAME...]",
        help="copies for one consumer",
    )
    parser.add_argument(
        "--certificate",
        metavar="DIRECTORY[:UID]",
        help="where a self-signed certificate of the web gateway is kept",
    )
    parser.add_argument(
        "--renew", action="store_true", help="replace existing ones, too, except those to keep"
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="NAME", help="not to be replaced"
    )
    options = parser.parse_args(arguments)
    try:
        shares = [parse_share(text) for text in options.share]
        keep = options.keep if options.renew else None
        made = provision(options.directory, options.names, shares, keep)
        if options.certificate:
            directory, _, owner = options.certificate.partition(":")
            keep_editors(Path(directory), int(owner) if owner else None)
            if renew_certificate(Path(directory), int(owner) if owner else None):
                made.append("certificate of the web gateway")
    except StackError as error:
        sys.exit(f"error: {error}")
    print(f"secrets made: {', '.join(made)}" if made else "secrets: all present")


if __name__ == "__main__":
    main()
