"""Runs, as the UI launches and shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import FINAL, Stack, until

# A run that vanished is retried unless it says otherwise.
ONCE = {"dagster/max_retries": "0"}

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""

_RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      id status jobName startTime endTime
      tags { key value }
    }
  }
}"""

_EVENTS = """
query Events($id: ID!) {
  logsForRun(runId: $id, limit: 1000) {
    ... on EventConnection {
      events {
        __typename
        ... on MessageEvent { message timestamp }
        ... on LogsCapturedEvent { fileKey }
        ... on ExecutionStepFailureEvent { error { message errorChain { error { message } } } }
        ... on ExecutionStepUpForRetryEvent { error { message errorChain { error { message } } } }
        ... on RunFailureEvent { error { message errorChain { error { message } } } }
        ... on EngineEvent { error { message errorChain { error { message } } } }
      }
    }
  }
}"""

_STDOUT = """
query Stdout($key: [String!]!) {
  capturedLogs(logKey: $key) { stdout stderr }
}"""

_TERMINATE = """
mutation Terminate($id: String!) {
  terminateRun(runId: $id) { __typename ... on PythonError { message } }
}"""

_RUNS = """
query Runs($filter: RunsFilter) {
  runsOrError(filter: $filter) { ... on Runs { results { id status jobName } } }
}"""

_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

_BACKFILL_STATUS = """
query BackfillStatus($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status numPartitions error { message } }
    ... on PythonError { message }
  }
}"""


@dataclass
class Run:
    """One run of one stack."""

    stack: Stack
    id: str

    def get(self) -> dict[str, Any]:
        """Status, times and tags."""
        found: dict[str, Any] = self.stack.ask(_RUN, id=self.id)["runOrError"]
        return found

    @property
    def status(self) -> str:
        """Its state now."""
        return str(self.get()["status"])

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return {tag["key"]: tag["value"] for tag in self.get()["tags"]}

    @property
    def parent(self) -> str:
        """The id of the run that it retries; empty when it is none."""
        return self.tags.get("dagster/parent_run_id", "")

    def events(self) -> list[dict[str, Any]]:
        """Its event log."""
        found = self.stack.ask(_EVENTS, id=self.id)["logsForRun"]["events"]
        return list(found)

    def text(self) -> str:
        """Messages and errors of all events, for searching."""
        return "\n".join(str(event) for event in self.events())

    def wait(self, *states: str, seconds: float = 90) -> dict[str, Any]:
        """Wait for one of the states; any other final state fails at once, with the events."""
        wanted = states or ("SUCCESS",)

        def reached() -> dict[str, Any]:
            run = self.get()
            if run["status"] in FINAL and run["status"] not in wanted:
                raise RuntimeError(f"run {self.id} is {run['status']}:\n{self.text()}")
            assert run["status"] in wanted
            return run

        try:
            return until(reached, seconds)
        except AssertionError:
            # All its events, which are not asked for while it is waited for: that costs CPU.
            late = f"run {self.id} is {self.status} after {seconds} s:\n{self.text()}"
            raise AssertionError(late) from None

    def stdout(self) -> str:
        """What its steps wrote, as the UI shows it."""
        keys = [event["fileKey"] for event in self.events() if event.get("fileKey")]
        logs = (
            self.stack.ask(_STDOUT, key=[self.id, "compute_logs", key])["capturedLogs"]
            for key in keys
        )
        return "".join(log["stdout"] or "" for log in logs)

    def terminate(self) -> None:
        """Press Terminate."""
        answer = self.stack.ask(_TERMINATE, id=self.id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    @property
    def container(self) -> dict[str, Any]:
        """Its inspected container."""
        return self.stack.inspect(self.tags["docker/container_id"])


def imports(run: Run) -> None:
    """Raises AssertionError unless its container runs, and the run itself does not yet."""
    assert run.status == "STARTING"
    id = run.tags.get("docker/container_id")
    assert id and "importing for ever" in run.stack.run("docker", "logs", id)


@dataclass
class Begun:
    """What the session's start launched, for late tests: what takes a minute takes none then."""

    succeeded: Run
    failed: Run
    never_starts: Run
    # A run container of another stack, which has ended as well.
    foreign: str
    stale: Run


def launch(
    stack: Stack,
    location: str,
    job: str,
    config: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    assets: list[str] | None = None,
) -> Run:
    """Press Launch; of a job, or of some of its assets."""
    selector: dict[str, Any] = {
        "repositoryLocationName": location,
        "repositoryName": "__repository__",
        "jobName": job,
    }
    if assets:
        selector["assetSelection"] = [{"path": [asset]} for asset in assets]
    params = {
        "selector": selector,
        "mode": "default",
        "runConfigData": config or {},
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
    }
    answer = stack.ask(_LAUNCH, params=params)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return Run(stack, answer["run"]["runId"])


def load(stack: Stack, *tables: str, tags: dict[str, str] | None = None) -> Run:
    """Launch elt's load of these tables alone, for what does not need all of them."""
    return launch(stack, "elt", "sync_tables_job", tags=tags, assets=[f"{t}_table" for t in tables])


def runs_of(stack: Stack, job: str) -> list[Run]:
    """All runs of a job, newest first."""
    found = stack.ask(_RUNS, filter={"pipelineName": job})["runsOrError"]["results"]
    return [Run(stack, run["id"]) for run in found]


def tagged(stack: Stack, tags: dict[str, str]) -> list[Run]:
    """All runs with these tags, newest first."""
    wanted = [{"key": key, "value": value} for key, value in tags.items()]
    found = stack.ask(_RUNS, filter={"tags": wanted})["runsOrError"]["results"]
    return [Run(stack, run["id"]) for run in found]


def launch_partition(stack: Stack, asset: str, partition: str) -> Run:
    """Press Materialize for one partition of an asset of elt."""
    tags = {"dagster/partition": partition}
    return launch(stack, "elt", "__ASSET_JOB", tags=tags, assets=[asset])


def backfill(stack: Stack, asset: str, partitions: list[str]) -> str:
    """Press Materialize for some partitions of an asset; the backfill's id."""
    params = {"assetSelection": [{"path": [asset]}], "partitionNames": partitions}
    answer = stack.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


def wait_for_backfill(stack: Stack, id: str, seconds: float) -> None:
    """Wait until all of its runs have succeeded."""

    def done() -> None:
        found = stack.ask(_BACKFILL_STATUS, id=id)["partitionBackfillOrError"]
        if found["status"] in {"COMPLETED_FAILED", "FAILED", "CANCELED"}:
            raise RuntimeError(f"backfill {id} is {found}")
        assert found["status"] == "COMPLETED_SUCCESS", found

    until(done, seconds, every=1)
