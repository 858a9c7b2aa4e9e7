"""What pages of the user interface ask, by its own queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dagster_graphql.test.utils import execute_dagster_graphql
from ui_queries import query

Ask = Callable[..., None]


def _runs(ask: Ask) -> None:
    ask("RunsFeedQuery", limit=30, view="ROOTS", filter={})
    queued = {"statuses": ["QUEUED"]}
    progress = {"statuses": ["STARTED", "STARTING", "CANCELING"]}
    ask("RunFeedTabsCountQuery", queuedFilter=queued, inProgressFilter=progress, view="ROOTS")


def _failed_runs(ask: Ask) -> None:
    ask("RunsFeedQuery", limit=30, view="ROOTS", filter={"statuses": ["FAILURE"]})


def _runs_of_a_job(ask: Ask) -> None:
    ask("RunsFeedQuery", limit=30, view="RUNS", filter={"pipelineName": "plain"})


def _timeline(ask: Ask) -> None:
    now = time.time()
    progress = {"statuses": ["STARTED", "STARTING", "CANCELING"]}
    ask("OngoingRunTimelineQuery", inProgressFilter=progress, limit=500)
    # A day, as far as the page shows by default.
    ended = {
        "statuses": ["FAILURE", "SUCCESS", "CANCELED"],
        "createdBefore": now,
        "updatedAfter": now - 86400,
    }
    ask("CompletedRunTimelineQuery", completedFilter=ended, limit=500)


def _asset(name: str) -> Callable[[Ask], None]:
    def page(ask: Ask) -> None:
        key = {"path": [name]}
        ask("AssetGraphLiveQuery", assetKeys=[key])
        ask("AssetHealthQuery", assetKeys=[key])
        ask("AssetStaleStatusDataQuery", assetKeys=[key])
        ask("AssetViewDefinitionQuery", assetKey=key)
        ask("AssetOverviewMetadataEventsQuery", assetKey=key)
        kinds = ["MATERIALIZATION", "OBSERVATION", "FAILED_TO_MATERIALIZE"]
        ask("RecentAssetEventsQuery", assetKey=key, eventTypeSelectors=kinds, limit=50)
        ask("AssetChecksQuery", assetKey=key)

    return page


def _partitions(ask: Ask) -> None:
    key = {"path": ["by_day"]}
    ask("PartitionHealthQuery", assetKey=key)
    ask("LatestAssetPartitionsQuery", assetKey=key, limit=50)


def _catalog(ask: Ask) -> None:
    ask("AssetRecordsQuery", limit=1000)
    keys = [{"path": [f"a{number:02}"]} for number in range(20)]
    ask("AssetGraphLiveQuery", assetKeys=keys)
    ask("AssetHealthQuery", assetKeys=keys)


PAGES: dict[str, Callable[[Ask], None]] = {
    "runs": _runs,
    "runs that failed": _failed_runs,
    "runs of a job": _runs_of_a_job,
    "timeline of a day": _timeline,
    "asset": _asset("a00"),
    "asset by day": _asset("by_day"),
    "partitions of the asset by day": _partitions,
    "all assets": _catalog,
}


def seconds(process_context: Any, page: Callable[[Ask], None]) -> dict[str, float]:
    """How long each of a page's queries takes, one after the other."""
    took: dict[str, float] = {}

    def ask(name: str, **variables: Any) -> None:
        text = query(name)
        began = time.perf_counter()
        # As one request of a browser.
        context = process_context.create_request_context()
        result = execute_dagster_graphql(context, text, variables)
        took[name] = took.get(name, 0) + time.perf_counter() - began
        if result.errors:
            raise RuntimeError(f"{name}: {result.errors}")

    page(ask)
    return took
