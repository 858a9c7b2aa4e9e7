"""Runs of a location that have not ended, from the webserver's answer."""

from __future__ import annotations

import pytest

from control_plane import active_runs
from control_plane.errors import StackError


def run(id: str, location: str | None) -> dict[str, object]:
    """A run as GraphQL gives it."""
    origin = {"repositoryLocationName": location} if location else None
    return {"id": id, "status": "STARTED", "jobName": "job", "repositoryOrigin": origin}


def test_runs_of_one_location_alone() -> None:
    results = [run("1", "elt"), run("2", "elt_2"), run("3", None)]
    data = {"runsOrError": {"__typename": "Runs", "results": results}}
    assert active_runs.parse(data, "elt") == [active_runs.ActiveRun("1", "job", "STARTED")]


def test_an_answer_that_is_none_is_an_error() -> None:
    data = {"runsOrError": {"__typename": "PythonError", "message": "no database"}}
    with pytest.raises(StackError, match="no database"):
        active_runs.parse(data, "elt")


def test_nobody_answers() -> None:
    with pytest.raises(StackError, match="does not answer"):
        active_runs.of_location("http://127.0.0.1:9", "elt")
