"""The status, from the webserver's answer to what people read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from control_plane import status, status_table
from control_plane.errors import StackError

TICK = 1_800_000_000.0


def entry(name: str, loaded: dict[str, Any] | None, state: str = "LOADED") -> dict[str, Any]:
    """A location entry as GraphQL gives it."""
    return {"name": name, "loadStatus": state, "locationOrLoadError": loaded}


def loaded(image: str | None = "stack/elt:abc", running: bool = True) -> dict[str, Any]:
    """A location that loaded, with one schedule."""
    state = {
        "status": "RUNNING" if running else "STOPPED",
        "nextTick": {"timestamp": TICK} if running else None,
    }
    schedule = {
        "name": "job_schedule",
        "cronSchedule": "0 0 * * *",
        "executionTimezone": "UTC",
        "scheduleState": state,
    }
    metadata = [{"key": "image", "value": image}] if image else []
    repository = {"name": "r", "displayMetadata": metadata, "schedules": [schedule]}
    return {"__typename": "RepositoryLocation", "repositories": [repository]}


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    """The whole answer."""
    workspace = {"__typename": "Workspace", "locationEntries": list(entries)}
    return {"version": "1.2.3", "workspaceOrError": workspace}


BROKEN = {
    "__typename": "PythonError",
    "message": "DagsterUserCodeLoadError: outer\n",
    "errorChain": [{"error": {"message": "first\nModuleNotFoundError: No module named 'x'\n\n"}}],
}


def test_a_loaded_location() -> None:
    location = status.parse("http://ui", answer(entry("elt", loaded()))).locations[0]
    assert (location.state, location.image) == ("LOADED", "stack/elt:abc")
    assert location.schedules[0].next_tick is not None
    assert location.schedules[0].next_tick.timestamp() == TICK


def test_an_error_in_the_syntax_says_where_it_is() -> None:
    message = '  File "/app/src/elt/defs/jobs/new.py", line 5\n    def a()\n  ^\nSyntaxError: no\n'
    broken = BROKEN | {"errorChain": [{"error": {"message": message}}]}
    location = status.parse("http://ui", answer(entry("elt", broken))).locations[0]
    assert location.error == "SyntaxError: no (new.py, line 5)"


def test_a_broken_location_says_its_root_cause_in_one_line() -> None:
    parsed = status.parse("http://ui", answer(entry("elt", BROKEN), entry("analytics", loaded())))
    assert [location.name for location in parsed.broken()] == ["elt"]
    assert parsed.broken()[0].error == "ModuleNotFoundError: No module named 'x'"


def test_a_code_server_that_does_not_answer_is_said_in_words() -> None:
    chain = [
        {"error": {"message": "grpc._channel._InactiveRpcError: <_Inactive...\n\tstatus\n>\n"}}
    ]
    silent = BROKEN | {"errorChain": chain}
    location = status.parse("http://ui", answer(entry("elt", silent))).locations[0]
    assert location.error == "its code server does not answer; see its log"


def test_a_location_that_still_loads() -> None:
    assert status.parse("u", answer(entry("elt", None, "LOADING"))).locations[0].state == "LOADING"


def test_a_workspace_that_does_not_load_is_an_error() -> None:
    data = {"version": "1", "workspaceOrError": {"__typename": "PythonError", "message": "a\nbad"}}
    with pytest.raises(StackError, match="bad"):
        status.parse("u", data)


def test_one_location_alone() -> None:
    parsed = status.parse("u", answer(entry("elt", BROKEN), entry("analytics", loaded())))
    assert [location.name for location in parsed.only("analytics").locations] == ["analytics"]
    with pytest.raises(StackError, match="no code location 'sales'"):
        parsed.only("sales")


def test_nobody_answers() -> None:
    with pytest.raises(StackError, match=r"http://127\.0\.0\.1:9 does not answer"):
        status.wait("http://127.0.0.1:9", seconds=0.1)


def test_the_table_shows_all_that_people_ask_for() -> None:
    parsed = status.parse(
        "u",
        answer(
            entry("elt", loaded()),
            entry("analytics", loaded(image=None, running=False)),
            entry("third", BROKEN),
        ),
    )
    output = io.StringIO()
    status_table.show(Console(file=output, width=160), parsed, "http://localhost:3000")
    shown = output.getvalue()
    for text in (
        "Dagster 1.2.3 at http://localhost:3000",
        "stack/elt:abc",
        "2027-01-15 08:00 (in ",
        "stopped",
        "code location third does not load: ModuleNotFoundError: No module named 'x'",
    ):
        assert text in shown
