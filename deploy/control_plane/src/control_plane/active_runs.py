"""Runs of a code location that wait or run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from control_plane.errors import StackError
from control_plane.graphql import ask

_QUERY = """
query ActiveRuns {
  runsOrError(
    filter: {statuses: [QUEUED, NOT_STARTED, MANAGED, STARTING, STARTED, CANCELING]}
  ) {
    __typename
    ... on PythonError { message }
    ... on Runs { results { id status jobName repositoryOrigin { repositoryLocationName } } }
  }
}
"""


@dataclass(frozen=True)
class ActiveRun:
    """One run that has not ended."""

    id: str
    job: str
    status: str


def of_location(url: str, location: str) -> list[ActiveRun]:
    """The location's runs that have not ended, newest first, as the webserver sees them.

    Raises StackError when it does not answer.
    """
    try:
        return parse(ask(url, _QUERY), location)
    except httpx.HTTPError as error:
        raise StackError(f"the webserver at {url} does not answer: {error}") from None


def parse(data: dict[str, Any], location: str) -> list[ActiveRun]:
    """Read the answer; a run without an origin belongs to no location."""
    answer = data["runsOrError"]
    if answer["__typename"] != "Runs":
        raise StackError(f"the webserver cannot list runs: {answer.get('message')}")
    return [
        ActiveRun(run["id"], run["jobName"], run["status"])
        for run in answer["results"]
        if (run["repositoryOrigin"] or {}).get("repositoryLocationName") == location
    ]
