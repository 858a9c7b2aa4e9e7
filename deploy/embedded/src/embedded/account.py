"""The user that Postgres runs as: Postgres refuses root, and everybody else is fine as is."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import StackError


@dataclass(frozen=True)
class Account:
    """An unprivileged user, by numbers."""

    name: str
    uid: int
    gid: int

    def can_use(self, folder: Path) -> bool:
        """True when this user could reach ``folder``, list it and read what it holds."""
        return _as_user(self, lambda: os.access(folder, os.R_OK | os.X_OK))

    def can_reach(self, folder: Path) -> bool:
        """True when this user may pass through ``folder`` to something of its own in it."""
        return _as_user(self, lambda: os.access(folder, os.X_OK))


def postgres_account(root: Path, data: Path) -> Account | None:
    """Whom to become for Postgres; None when we are that user already.

    As root: whoever owns the database files; for new ones the owner of the checkout, so that
    `sudo make dev` and `make dev` agree; `nobody` when that is root itself.
    """
    if os.geteuid() != 0:
        return None
    for path in (data, root):
        if path.exists() and path.stat().st_uid != 0:
            status = path.stat()
            return Account(_name(status.st_uid), status.st_uid, status.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "Postgres does not run as root and this system has no user `nobody`; "
            "start as another user"
        ) from None
    return Account("nobody", nobody.pw_uid, nobody.pw_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _as_user(account: Account, question: Callable[[], bool]) -> bool:
    """Ask in a child that has become ``account``: only the kernel knows every rule."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            os._exit(0 if question() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
