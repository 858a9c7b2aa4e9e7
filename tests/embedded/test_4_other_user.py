"""As root's stack, so an ordinary user's; and reset."""

import os
import pwd
import signal
from pathlib import Path

import pytest

from checkout import Stack

USER = "nobody"


@pytest.fixture(scope="module")
def user_stack(stack: Stack, python: str | None) -> Stack:
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    if python is None:
        pytest.skip("needs a Python 3.11 to 3.13 with venv that every user can run")
    return stack


def test_reset_asks_first_and_then_deletes_all_data(user_stack: Stack) -> None:
    data = user_stack.checkout / ".dev"
    assert user_stack.run("reset", deadline_s=30) == 1  # stdin is closed: not a yes
    assert (data / "postgres").exists()
    assert user_stack.run("reset", "--yes", deadline_s=30) == 0
    assert [path.name for path in data.iterdir()] == ["lock"]


@pytest.mark.long
def test_an_ordinary_user_starts_and_hangs_up(user_stack: Stack) -> None:
    checkout = user_stack.checkout
    _give_to(checkout, USER)
    home = checkout.parent / "home"
    home.mkdir()
    _give_to(home, USER)
    environment = user_stack.environment | {"HOME": str(home), "USER": USER}
    environment.pop("UV_CACHE_DIR", None)
    stack = Stack(checkout, user_stack.port, environment, USER, outputs=user_stack.outputs)
    stack.start()
    stack.wait_until_ready(120)
    uid = pwd.getpwnam(USER).pw_uid
    assert {process.uids().real for process in stack.processes()} == {uid}
    stack.ui.run_to_success("elt", "sync_tables_job")
    assert stack.interrupt(signal.SIGHUP) == 0
    assert stack.processes() == []


def _give_to(folder: Path, user: str) -> None:
    """All but installed packages: as hard links they are uv's cache's files too."""
    account = pwd.getpwnam(user)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() or path.lstat().st_nlink == 1:
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
