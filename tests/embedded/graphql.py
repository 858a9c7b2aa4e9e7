"""The UI's own interface, as much of it as the tests need."""

from functools import partial
from typing import Any

import httpx

from polling import wait_for

ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

_LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    __typename
    ... on PythonError { message errorChain { error { message } } }
    ... on RepositoryLocation { repositories { schedules {
        name scheduleState { status nextTick { timestamp } } } } } } } } } }
"""
_LAUNCH = """
mutation ($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_RUN = """
query ($id: ID!) { runOrError(runId: $id) { ... on Run { status
    eventConnection { events {
        ... on MessageEvent { message }
        ... on LogsCapturedEvent { fileKey }
        ... on ExecutionStepFailureEvent { error { message } } } } } } }
"""
# Asks for what is new alone: all events, ten times a second, take most of a core.
_PROGRESS = """
query ($id: ID!, $seen: String) { runOrError(runId: $id) { ... on Run { status
    eventConnection(afterCursor: $seen) { cursor } } } }
"""
_RUNS = """
query ($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results {
    runId status tags { key value } } } } }
"""
_STDOUT = """
query ($key: [String!]!) { capturedLogs(logKey: $key) { stdout } }
"""
_RELOAD = """
mutation ($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename } }
"""


class UI:
    """Asks the webserver on ``port``."""

    def __init__(self, port: int) -> None:
        self.url = f"http://localhost:{port}"

    def answers(self) -> bool:
        """True when the page itself can be had."""
        try:
            return httpx.get(self.url, timeout=5, verify=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def ask(self, query: str, **variables: Any) -> Any:
        body = {"query": query, "variables": variables}
        # Plain HTTP: loading certificates for each question takes most of a waiting test's CPU.
        url = f"{self.url}/graphql"
        answer = httpx.post(url, json=body, timeout=60, verify=False).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def locations(self) -> dict[str, Any]:
        """What each location has loaded, or its error, by name."""
        entries = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        return {entry["name"]: entry["locationOrLoadError"] for entry in entries}

    def schedules(self) -> dict[str, Any]:
        """The state of each schedule of the loaded locations, by name."""
        return {
            schedule["name"]: schedule["scheduleState"]
            for location in self.locations().values()
            for repository in location.get("repositories", [])
            for schedule in repository["schedules"]
        }

    def launch(self, location: str, job: str) -> str:
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        parameters = {"selector": selector, "runConfigData": {}}
        answer = self.ask(_LAUNCH, parameters=parameters)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> Any:
        return self.ask(_RUN, id=run_id)["runOrError"]

    def status_of(self, run_id: str) -> str:
        return str(self.run(run_id)["status"])

    def messages_of(self, run_id: str) -> str:
        events = self.run(run_id)["eventConnection"]["events"]
        errors = [(event.get("error") or {}).get("message", "") for event in events]
        return "\n".join([event.get("message", "") for event in events] + errors)

    def stdout_of(self, run_id: str) -> str:
        """What the run's steps have printed, as the UI shows it."""
        events = self.run(run_id)["eventConnection"]["events"]
        keys = [event["fileKey"] for event in events if event.get("fileKey")]
        logs = [self.ask(_STDOUT, key=[run_id, "compute_logs", key]) for key in keys]
        return "".join(log["capturedLogs"]["stdout"] or "" for log in logs)

    def wait_for_end(self, run_id: str, silence_s: float = 90) -> str:
        """The final state; fails when the run has had no event for `silence_s`.

        How long it takes in all is the machine's speed, which bench/ measures.
        """
        seen: str | None = None
        status = ""
        while status not in ENDED:
            what = f"run {run_id}, {status or 'launched'}, has a new event"
            status, seen = wait_for(what, partial(self._progress, run_id, seen), silence_s)
        return status

    def _progress(self, run_id: str, seen: str | None) -> list[str]:
        """State and last event; empty while there is no event after `seen` and the run goes on."""
        run = self.ask(_PROGRESS, id=run_id, seen=seen)["runOrError"]
        progress = [str(run["status"]), str(run["eventConnection"]["cursor"])]
        return progress if run["status"] in ENDED or progress[1] != seen else []

    def run_to_success(self, location: str, job: str) -> str:
        run_id = self.launch(location, job)
        status = self.wait_for_end(run_id)
        assert status == "SUCCESS", self.messages_of(run_id)
        return run_id

    def runs_of(self, job: str) -> list[Any]:
        return list(self.ask(_RUNS, job=job)["runsOrError"]["results"])

    def reload(self, location: str) -> None:
        self.ask(_RELOAD, name=location)
