"""A code location in the stack that runs, with a stand-in for the docker command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackctl.errors import StackctlError
from stackctl.location import live

STAND_IN = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
"version "*) echo 26.1 ;;
"compose version "*) echo 2.26.1 ;;
"compose config" | "compose config web_gateway")
    printf 'name: s\\n host_ip: 127.0.0.1\\n published: "3107"\\n' ;;
"compose ps "*) echo container ;;
"wait "*) echo 0 ;;
*" status "*) exit ${BROKEN:-0} ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of what docker was asked."""
    (tmp_path / "docker").write_text(STAND_IN)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return tmp_path / "asked"


def test_it_ends_with_the_address_that_people_open(asked: Path) -> None:
    live.start("sales")
    shown = asked.read_text().splitlines()[-1]
    assert "control-plane status" in shown
    assert "--show-url http://localhost:3107" in shown
    assert shown.endswith("--only sales")


def test_one_that_is_not_loaded_is_an_error(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(StackctlError, match="sales is not loaded"):
        live.start("sales")
