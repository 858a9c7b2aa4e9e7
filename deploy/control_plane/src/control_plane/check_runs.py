"""A run that shows whether runs of a code location work, without doing any of its work.

`make upgrade` launches one of each location in a copy of the stack, and one in the stack itself
after the switch. By default it is a run of an existing job in which no step is selected: it has to
be created, launched and given a worker, which loads the location's code and writes the run's
events, and no op is executed. A location may name a job of its own by the tag `upgrade/check`; that
one is executed in whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from control_plane.errors import StackError
from control_plane.graphql import ask

TAG = "upgrade/check"
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
# What holds a run back, such as limits of the location, is not what this is about.
_TAGS = {TAG: "yes", "dagster/max_retries": "0", "dagster/priority": "100"}

_JOBS = """
query Jobs {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError {
          ... on RepositoryLocation {
            repositories { name jobs { name isAssetJob tags { key value } } }
          }
        }
      }
    }
  }
}
"""
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) { ... on Run { status } }
}
"""


@dataclass(frozen=True)
class Job:
    """A job that may be launched; ``named``: by the location, to be executed in whole."""

    repository: str
    name: str
    named: bool


def candidates(repositories: Iterable[Mapping[str, Any]]) -> list[Job]:
    """The jobs to try, the best first.

    Those that the location names, then those of assets, which need no configuration as a rule.
    """
    ranked = []
    for repository in repositories:
        for job in repository["jobs"]:
            named = any(tag["key"] == TAG for tag in job["tags"])
            found = Job(repository["name"], job["name"], named)
            ranked.append((not named, not job["isAssetJob"], found.name, found))
    return [each[-1] for each in sorted(ranked, key=lambda each: each[:-1])]


def launch(url: str, location: str) -> dict[str, str | bool]:
    """Have the webserver create a check run of the location: its ``id``, ``job``, ``named``.

    Raises StackError when none of its jobs can be launched, with the reason of the first.
    """
    try:
        entries = ask(url, _JOBS)["workspaceOrError"].get("locationEntries", [])
        found = next((each for each in entries if each["name"] == location), None)
        loaded = (found or {}).get("locationOrLoadError") or {}
        reasons = []
        for job in candidates(loaded.get("repositories", [])):
            answer = ask(url, _LAUNCH, {"params": _parameters(location, job)})["launchRun"]
            if answer["__typename"] == "LaunchRunSuccess":
                run_id = answer["run"]["runId"]
                return {"id": run_id, "job": job.name, "named": job.named}
            reasons.append(f"job {job.name}: {_reason(answer)}")
    except httpx.HTTPError as error:
        raise StackError(f"the webserver at {url} does not answer: {error}") from None
    if not loaded.get("repositories"):
        raise StackError(f"code location {location} is not loaded")
    raise StackError(reasons[0] if reasons else f"code location {location} has no job")


def await_end(url: str, run_id: str, seconds: float) -> str:
    """The run's status when it has ended, or after ``seconds``.

    Raises StackError when the webserver does not answer.
    """

    def status() -> str:
        return str(ask(url, _RUN, {"id": run_id})["runOrError"].get("status", "UNKNOWN"))

    try:
        return Retrying(
            retry=retry_if_exception_type(httpx.HTTPError)
            | retry_if_result(lambda found: found not in _ENDED),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.3),
        )(status)
    except RetryError as error:
        if problem := error.last_attempt.exception():
            raise StackError(f"the webserver at {url} does not answer: {problem}") from None
        return str(error.last_attempt.result())


def _parameters(location: str, job: Job) -> dict[str, Any]:
    selector = {
        "repositoryLocationName": location,
        "repositoryName": job.repository,
        "jobName": job.name,
    }
    tags = [{"key": key, "value": value} for key, value in _TAGS.items()]
    found = {"selector": selector, "executionMetadata": {"tags": tags}}
    return found if job.named else found | {"stepKeys": []}


def _reason(answer: Mapping[str, Any]) -> str:
    errors = [each["message"] for each in answer.get("errors", ())]
    text = str(answer.get("message") or "; ".join(errors) or answer["__typename"])
    return text.strip().splitlines()[0]
