"""What is read elsewhere than from the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack_exporter import outside

NONE = {"copied_s": None, "copy_failed": None, "check_failed": None}


def test_backups_that_are_none_yet(tmp_path: Path) -> None:
    assert outside.backups(tmp_path) == []
    shown = {"last_success": None, "last_failure": "2026-11-27T01:30:00+00:00"}
    (tmp_path / "status.json").write_text(json.dumps(shown))
    [row] = outside.backups(tmp_path)
    made = {"success_s": None, "failed": 1, "rehearsal_s": None, "rehearsal_failed": None}
    assert row == made | NONE


def test_backups_and_a_rehearsal(tmp_path: Path) -> None:
    at = "1970-01-01T00:16:40+00:00"
    shown = {"last_success": at, "last_failure": None, "rehearsal": at, "rehearsal_ok": False}
    (tmp_path / "status.json").write_text(json.dumps(shown))
    [row] = outside.backups(tmp_path)
    made = {"success_s": 1000, "failed": 0, "rehearsal_s": 1000, "rehearsal_failed": 1}
    assert row == made | NONE


def test_copies_elsewhere(tmp_path: Path) -> None:
    at = "1970-01-01T00:16:40+00:00"
    shown = {
        "success": {"id": "abcdef12", "time": at, "seconds": 1.5, "added": 7},
        "failure": None,
        "check": {"time": at, "error": "pack 12 is damaged"},
    }
    (tmp_path / "offsite.json").write_text(json.dumps(shown))
    [row] = outside.backups(tmp_path)
    assert {name: row[name] for name in NONE} == {
        "copied_s": 1000,
        "copy_failed": 0,
        "check_failed": 1,
    }
    assert row["failed"] is None


def test_the_disk() -> None:
    [row] = outside.disk("/")
    assert 0 < row["free"] < row["size"]


@pytest.mark.parametrize(
    ("entry", "loaded", "image"),
    [
        ({"loadStatus": "LOADED", "locationOrLoadError": {"__typename": "PythonError"}}, 0, None),
        ({"loadStatus": "LOADING", "locationOrLoadError": None}, 0, None),
        (
            {
                "loadStatus": "LOADED",
                "locationOrLoadError": {
                    "__typename": "RepositoryLocation",
                    "repositories": [
                        {"displayMetadata": [{"key": "host", "value": "elt"}]},
                        {"displayMetadata": [{"key": "image", "value": "s/elt:1"}]},
                    ],
                },
            },
            1,
            "s/elt:1",
        ),
    ],
)
def test_a_location(entry: dict[str, object], loaded: int, image: str | None) -> None:
    row = outside._location({"name": "elt", **entry})
    assert (row["location"], row["loaded"], row["image"]) == ("elt", loaded, image)
