"""The commands, as far as they go without an engine: refusals write nothing."""

import fcntl
import os
from pathlib import Path

import pytest

from stackctl.errors import LOCKED, REFUSED, USAGE, StackctlError
from stackctl.location import commands
from stackctl.location.files import Project


@pytest.fixture
def root(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy, in the place of the repository."""
    monkeypatch.setattr(commands, "ROOT", project.root)
    return project.root


def snapshot(root: Path) -> dict[Path, bytes]:
    """Every file and what is in it."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "code"), [("json", REFUSED), ("elt", REFUSED), ("größe", USAGE)])
def test_a_bad_name_leaves_no_trace(root: Path, name: str, code: int) -> None:
    before = snapshot(root)
    with pytest.raises(StackctlError) as refusal:
        commands.add(name)
    assert refusal.value.exit_code == code
    assert snapshot(root) == before


@pytest.mark.parametrize("loader", ["yes", "0", "$(touch x)"])
def test_an_unknown_value_of_loader_leaves_no_trace(root: Path, loader: str) -> None:
    before = snapshot(root)
    with pytest.raises(StackctlError, match=r"LOADER is '.*Fix: LOADER=1 ") as refusal:
        commands.add("marketing", loader)
    assert refusal.value.exit_code == USAGE
    assert snapshot(root) == before


@pytest.mark.parametrize("name", ["nope", "postgres", ""])
def test_what_is_no_location_is_not_removed(root: Path, name: str) -> None:
    before = snapshot(root)
    with pytest.raises(StackctlError, match="There are: elt, analytics") as refusal:
        commands.remove(name)
    assert refusal.value.exit_code == USAGE
    assert snapshot(root) == before


def test_an_embedded_stack_that_runs_keeps_its_locations(root: Path) -> None:
    (root / ".dev").mkdir()
    before = snapshot(root)
    with (root / ".dev" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StackctlError, match="make dev runs in this checkout") as refusal:
            commands.remove("analytics")
    assert refusal.value.exit_code == REFUSED
    assert snapshot(root).keys() - before.keys() == {root / ".dev" / "lock"}


def test_one_change_at_a_time(root: Path) -> None:
    handle = os.open(root / "code_locations", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(StackctlError, match="another command") as refusal:
            commands.add("marketing")
    finally:
        os.close(handle)
    assert refusal.value.exit_code == LOCKED
