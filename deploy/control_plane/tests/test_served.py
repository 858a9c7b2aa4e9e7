"""What is loaded is compared with what serves, without asking the servers all the time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control_plane import served
from control_plane.served import ServedFile


class Location:
    """A loaded location, and how often its server was asked."""

    def __init__(self, image: str, *, other_serves: bool = False) -> None:
        self.container_image = image
        self.other_serves = other_serves
        self.asked = 0

    def ask(self) -> bool:
        self.asked += 1
        return self.other_serves


class Refreshed(Exception):
    """The location was reloaded."""


class Context:
    """The daemon's workspace."""

    def refresh_code_location(self, name: str) -> None:
        raise Refreshed(name)


@pytest.fixture
def locations(monkeypatch: pytest.MonkeyPatch) -> dict[str, Location | None]:
    """What the workspace has loaded."""
    loaded: dict[str, Location | None] = {}
    monkeypatch.setattr(ServedFile, "_loaded", lambda _: dict(loaded))
    monkeypatch.setattr(served, "_other_serves", Location.ask)
    monkeypatch.setattr(served, "WorkspaceProcessContext", Context)
    monkeypatch.setattr(served, "_PAUSE_S", 0)
    return loaded


def test_the_file_follows_at_once_and_servers_are_asked_rarely(
    locations: dict[str, Location | None], tmp_path: Path
) -> None:
    context: Any = Context()
    file = ServedFile(context, tmp_path / "served.json")
    locations |= {"elt": (elt := Location("elt:1")), "analytics": None}
    for _ in range(50):
        file.follow()
    assert json.loads((tmp_path / "served.json").read_text()) == {"elt": "elt:1", "analytics": None}
    assert elt.asked == 1
    locations["elt"] = Location("elt:2")
    file.follow()
    assert json.loads((tmp_path / "served.json").read_text())["elt"] == "elt:2"


def test_a_location_of_another_server_is_looked_at_closely_and_loaded_anew(
    locations: dict[str, Location | None], tmp_path: Path
) -> None:
    context: Any = Context()
    file = ServedFile(context, tmp_path / "served.json")
    locations |= {"elt": Location("elt:1", other_serves=True), "other": (other := Location("o"))}
    with pytest.raises(Refreshed, match="elt"):
        for _ in range(served._LOOKS_BEFORE_REFRESH):
            file.follow()
    assert other.asked == 1


def test_one_that_is_right_again_is_left_alone(
    locations: dict[str, Location | None], tmp_path: Path
) -> None:
    context: Any = Context()
    file = ServedFile(context, tmp_path / "served.json")
    locations["elt"] = elt = Location("elt:1", other_serves=True)
    file.follow()
    elt.other_serves = False
    for _ in range(50):
        file.follow()
    assert elt.asked == 2


def test_it_is_complete_when_all_are_loaded_from_what_serves(
    locations: dict[str, Location | None], tmp_path: Path
) -> None:
    context: Any = Context()
    file = ServedFile(context, tmp_path / "served.json")
    assert not file.complete()
    locations |= {"elt": (elt := Location("elt:1")), "analytics": None}
    file.follow()
    assert not file.complete()
    locations["analytics"] = Location("analytics:1")
    file.follow()
    assert file.complete()
    elt.other_serves = True
    file._ask_at = 0
    file.follow()
    assert not file.complete()
