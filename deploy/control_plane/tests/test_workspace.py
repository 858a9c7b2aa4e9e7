"""The workspace file, as the control plane's own commands read it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from control_plane import locations
from control_plane.errors import StackError
from control_plane.workspace import servers

ENTRY = "load_from: [{grpc_server: {host: elt, port: 4000, location_name: elt}}]"


def test_addresses_by_location(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text(ENTRY)
    assert servers(tmp_path / "workspace.yaml") == {"elt": "elt:4000"}


@pytest.mark.parametrize(
    "text", ["", "load_from", "load_from: [{python_module: elt}]", "load_from: [", "[]"]
)
def test_another_form_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "workspace.yaml").write_text(text)
    with pytest.raises(StackError, match=r"workspace\.yaml: expected load_from"):
        servers(tmp_path / "workspace.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"workspace\.yaml: No such file"):
        servers(tmp_path / "workspace.yaml")


def test_a_file_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "workspace.yaml"
    (tmp_path / "new").write_text("load_from: []")
    later = threading.Timer(0.3, (tmp_path / "new").replace, [path])
    later.start()
    assert locations.wait(path, seconds=10) == []


def test_a_file_that_does_not_come_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"workspace\.yaml: No such file"):
        locations.wait(tmp_path / "workspace.yaml", seconds=0.2)


def test_who_serves_is_not_asked_again_and_one_that_is_late_holds_up_the_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    late = {"c": 2}

    def serves(address: str) -> bool:
        asked.append(address)
        late[address] = late.get(address, 0) - 1
        return late[address] < 0

    monkeypatch.setattr(locations, "serves", serves)
    wanted = {name: name for name in "abcd"}
    assert locations.wait_for(lambda: wanted, seconds=10) == []
    assert asked == ["a", "b", "c", "c", "c", "d"]


def test_all_that_do_not_serve_in_time_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "serves", lambda address: address == "b")
    wanted = {name: name for name in "abc"}
    assert locations.wait_for(lambda: wanted, seconds=0.1) == ["a", "c"]
