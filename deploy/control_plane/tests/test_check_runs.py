"""Which job of a location is launched to see whether runs work."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from control_plane import check_runs, query_cost
from control_plane.check_runs import Job
from control_plane.errors import StackError


def test_the_installed_dagster_answers_and_the_limits_allow_each_query() -> None:
    schema = create_schema().graphql_schema
    for query in (check_runs._JOBS, check_runs._LAUNCH, check_runs._RUN):
        document = parse(query)
        assert validate(schema, document) == []
        assert query_cost.refusal(schema, document) is None


def job(name: str, *tags: str, of_assets: bool = False) -> dict[str, Any]:
    """As GraphQL gives one."""
    return {
        "name": name,
        "isAssetJob": of_assets,
        "tags": [{"key": key, "value": "yes"} for key in tags],
    }


REPOSITORY = {
    "name": "r",
    "jobs": [job("b"), job("assets", of_assets=True), job("c", "upgrade/check"), job("a", "other")],
}


def test_a_named_job_comes_first_then_those_of_assets() -> None:
    assert check_runs.candidates([REPOSITORY]) == [
        Job("r", "c", named=True),
        Job("r", "assets", named=False),
        Job("r", "a", named=False),
        Job("r", "b", named=False),
    ]


class Webserver:
    """Answers as one whose location elt has the jobs above, of which it launches some."""

    def __init__(self, launches: str) -> None:
        self._launches = launches
        self.asked: list[dict[str, Any]] = []

    def ask(self, _url: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        if "Jobs" in query:
            loaded = {"name": "elt", "locationOrLoadError": {"repositories": [REPOSITORY]}}
            broken = {"name": "broken", "locationOrLoadError": {}}
            return {"workspaceOrError": {"locationEntries": [broken, loaded]}}
        assert variables is not None
        self.asked.append(variables["params"])
        if variables["params"]["selector"]["jobName"] == self._launches:
            return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "1"}}}
        errors = [{"message": "Missing required config\nentry"}]
        return {"launchRun": {"__typename": "RunConfigValidationInvalid", "errors": errors}}


@pytest.fixture
def webserver(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Webserver:
    found = Webserver(request.param)
    monkeypatch.setattr(check_runs, "ask", found.ask)
    return found


@pytest.mark.parametrize("webserver", ["c"], indirect=True)
def test_a_named_job_is_executed_in_whole(webserver: Webserver) -> None:
    assert check_runs.launch("http://w", "elt") == {"id": "1", "job": "c", "named": True}
    assert "stepKeys" not in webserver.asked[0]


@pytest.mark.parametrize("webserver", ["a"], indirect=True)
def test_of_another_no_step_is_and_one_that_needs_configuration_is_passed_over(
    webserver: Webserver,
) -> None:
    assert check_runs.launch("http://w", "elt") == {"id": "1", "job": "a", "named": False}
    names = [each["selector"]["jobName"] for each in webserver.asked]
    assert names == ["c", "assets", "a"]
    assert webserver.asked[-1]["stepKeys"] == []


@pytest.mark.parametrize("webserver", ["none of them"], indirect=True)
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("elt", "job c: Missing required config$"),
        ("broken", "code location broken is not loaded"),
        ("unknown", "code location unknown is not loaded"),
    ],
)
def test_why_there_is_none(webserver: Webserver, location: str, words: str) -> None:
    with pytest.raises(StackError, match=words):
        check_runs.launch("http://w", location)


def test_the_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = ["STARTED", httpx.ConnectError("refused"), "SUCCESS"]

    def ask(*_: Any) -> dict[str, Any]:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return {"runOrError": {"status": found}}

    monkeypatch.setattr(check_runs, "ask", ask)
    assert check_runs.await_end("http://w", "1", 10) == "SUCCESS"
    answers[:] = ["QUEUED"]
    assert check_runs.await_end("http://w", "1", 0) == "QUEUED"
