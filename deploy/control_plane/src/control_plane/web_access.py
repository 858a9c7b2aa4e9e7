"""Who may use the web gateway: users, its self-signed certificate, its secret at a provider.

Standard library and the ``openssl`` command only, as the small image of the secrets has them.
"""

from __future__ import annotations

import argparse
import getpass
import re
import subprocess
import sys
from pathlib import Path

from control_plane.errors import StackError
from control_plane.secret_files import write

USERS_FILE = "web_users"
# Who of them may change things: asked for by name once the password is known to be right. Asking
# for a user's group would hash the password once more.
EDITORS_FILE = "web_editors"
CERTIFICATE_FILE = "web_tls_self_signed"
SSO_FILE = "sso_client_secret"
ROLES = ("viewer", "editor")

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_SHORTEST_PASSWORD = 12
_VALID_DAYS = 825
_RENEW_S = 30 * 24 * 3600
_HEAD = "userlist people\n    group viewer\n    group editor\n"


def with_user(users: str, name: str, role: str, hashed: str) -> str:
    """The users file ``users`` with ``name`` in it, once; "" stands for a file that is not there.

    ``hashed`` is a SHA-512 crypt string. Raises StackError for a name or role that cannot be.
    """
    if role not in ROLES:
        raise StackError(f"role {role!r}: there are {' and '.join(ROLES)}")
    line = f"    user {_checked(name)} password {hashed} groups {role}\n"
    return (without_user(users, name) if users else _HEAD) + line


def without_user(users: str, name: str) -> str:
    """The users file without ``name``; unchanged when it has none."""
    taken = f"user {_checked(name)} "
    kept = [line for line in users.splitlines() if not line.strip().startswith(taken)]
    return "".join(f"{line}\n" for line in kept)


def names(users: str) -> list[tuple[str, str]]:
    """Name and role of each user, in the file's order."""
    found = (line.split() for line in users.splitlines() if line.strip().startswith("user "))
    return [(words[1], words[5]) for words in found]


def keep_users(directory: Path, users: str, owner: int | None) -> None:
    """Write users and, beside them, the names of editors.

    Whatever interrupts this, nobody is an editor for longer than the users file says.
    """
    editors = {name for name, role in names(users) if role == "editor"}
    path = directory / EDITORS_FILE
    before = set(path.read_text().split()) if path.exists() else set()
    write(path, _lines(before & editors), owner)
    write(directory / USERS_FILE, users, owner)
    write(path, _lines(editors), owner)


def keep_editors(directory: Path, owner: int | None) -> None:
    """Write the names of editors where a users file has none beside it."""
    users = directory / USERS_FILE
    if users.exists() and not (directory / EDITORS_FILE).exists():
        keep_users(directory, users.read_text(), owner)


def _lines(found: set[str]) -> str:
    return "".join(f"{name}\n" for name in sorted(found))


def hash_password(password: str) -> str:
    """SHA-512 crypt of a password, with a random salt; raises StackError for a short one."""
    if len(password) < _SHORTEST_PASSWORD or "\n" in password:
        raise StackError(f"a password has at least {_SHORTEST_PASSWORD} characters, in one line")
    return _openssl("passwd", "-6", "-stdin", given=password + "\n").strip()


def renew_certificate(directory: Path, owner: int | None) -> bool:
    """Make the self-signed certificate where it is missing or ends within 30 days.

    It is for localhost: what it gives is encryption, and browsers warn of it. True when made.
    """
    path = directory / CERTIFICATE_FILE
    if path.exists():
        checked = ["openssl", "x509", "-checkend", str(_RENEW_S), "-noout", "-in", str(path)]
        if subprocess.run(checked, capture_output=True, check=False).returncode == 0:
            return False
    pem = _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", "-", "-out", "-", "-days", str(_VALID_DAYS), "-subj", "/CN=dagster-stack"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    )
    write(path, pem, owner)
    return True


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StackError(f"user name {name!r}: use lower-case letters, digits and . _ @ -")
    return name


def _openssl(*arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["openssl", *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _ask(what: str, twice: bool = True) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass(f"{what}: ")
    if twice and getpass.getpass("Once more: ") != first:
        raise StackError("the two differ; nothing was changed")
    return first


def _keep_client_secret(directory: Path, owner: int | None) -> None:
    # As it is, without a line's end: oauth2-proxy sends all that the file holds.
    value = _ask("Client secret", twice=False).strip()
    if not value:
        raise StackError("the client secret is empty; nothing was changed")
    write(directory / SSO_FILE, value, owner)
    print("The client secret is kept; single sign-on reads it when it starts.")


def main(arguments: list[str] | None = None) -> None:
    """Command line: add a user (or change one), remove one, list them."""
    parser = argparse.ArgumentParser(prog="web-access", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--owner", type=int, help="uid of the gateway")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add a user, or change password and role of one")
    add.add_argument("name")
    add.add_argument("role")
    remove = commands.add_parser("remove", help="remove a user")
    remove.add_argument("name")
    commands.add_parser("list", help="names and roles")
    commands.add_parser("sso-secret", help="keep the client secret of single sign-on")
    options = parser.parse_args(arguments)
    path = options.directory / USERS_FILE
    try:
        if options.command == "sso-secret":
            _keep_client_secret(options.directory, options.owner)
            return
        users = path.read_text() if path.exists() else ""
        if options.command == "add":
            # Name and role first: nobody types a password for nothing.
            with_user(users, options.name, options.role, "-")
            hashed = hash_password(_ask("Password"))
            changed = with_user(users, options.name, options.role, hashed)
            keep_users(options.directory, changed, options.owner)
        elif options.command == "remove":
            if options.name not in dict(names(users)):
                raise StackError(f"there is no user {options.name!r}")
            keep_users(options.directory, without_user(users, options.name), options.owner)
        for name, role in names(path.read_text() if path.exists() else ""):
            print(f"{name}  {role}")
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
