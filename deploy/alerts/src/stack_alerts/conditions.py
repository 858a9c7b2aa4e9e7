"""What is wrong now: Prometheus' alerts that fire, and runs that take long."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from stack_alerts.files import Files
from stack_alerts.messages import shortened
from stack_alerts.settings import INSTEAD_OF, STACK, RunLong

# Fewer successes say little of what a job used to take.
_SUCCESSES = 5


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong. ``key`` is the same as long as it is the same thing."""

    key: str
    name: str
    title: str
    severity: str = "warning"
    location: str = STACK
    job: str = ""
    asset: str = ""
    cause: str = ""
    fix: str = ""
    path: str = ""


class PrometheusError(Exception):
    """It does not answer as it should; says how."""


def ask(url: str) -> list[dict[str, Any]]:
    """Prometheus' alerts, pending ones too. Raises PrometheusError."""
    try:
        answer = httpx.get(f"{url}/api/v1/alerts", timeout=10, trust_env=False).raise_for_status()
        alerts: list[dict[str, Any]] = answer.json()["data"]["alerts"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise PrometheusError(str(error) or type(error).__name__) from None
    return alerts


def of_alerts(
    alerts: list[dict[str, Any]], asset_locations: Mapping[str, str]
) -> tuple[list[Condition], set[str]]:
    """Those that fire; and the keys of those that are pending, which end no incident."""
    firing, pending = [], set()
    for alert in alerts:
        labels = {str(k): str(v) for k, v in alert["labels"].items()}
        name = labels.pop("alertname")
        if name in INSTEAD_OF:
            continue
        severity = labels.pop("severity", "warning")
        key = f"{name} {json.dumps(labels, sort_keys=True)}"
        if alert["state"] != "firing":
            pending.add(key)
            continue
        said = alert.get("annotations", {})
        asset = labels.get("asset", "")
        firing.append(
            Condition(
                key,
                name,
                said.get("summary", name),
                severity if severity in ("info", "critical") else "warning",
                labels.get("location") or asset_locations.get(asset, STACK),
                labels.get("job", ""),
                _asset_path(asset),
                fix=said.get("fix", ""),
                path=_page(name, asset),
            )
        )
    return firing, pending


def _asset_path(key: str) -> str:
    """``a/b`` of ``["a", "b"]``, as Dagster stores it."""
    try:
        return "/".join(json.loads(key))
    except (ValueError, TypeError):
        return key


def _page(name: str, asset: str) -> str:
    if asset:
        return f"/assets/{quote(_asset_path(asset))}"
    pages = {"LocationNotLoaded": "/deployment/locations", "TicksFailing": "/automation"}
    return pages.get(name, "/prometheus/alerts")


def of_long_runs(rows: list[dict[str, Any]], files: Files) -> Iterator[Condition]:
    """One for each job that has a run above what its owner allows."""
    for row in rows:
        rule = files.of(files.audience(row["location"])).rule("RunLong")
        if not isinstance(rule, RunLong) or row["successes"] < _SUCCESSES:
            continue
        limit_s = max(rule.factor * row["median_s"], rule.at_least_minutes * 60)
        if row["age_s"] > limit_s:
            yield Condition(
                f"RunLong {row['location']} {row['job']}",
                "RunLong",
                f"a run of {row['job']} takes longer than it used to",
                location=row["location"],
                job=row["job"],
                cause=f"It runs for {row['age_s'] / 60:.0f} min; the median of the last"
                f" {row['successes']} successes is {row['median_s'] / 60:.1f} min.",
                fix="open the run: its log says what it waits for; Terminate ends it",
                path=f"/runs/{row['run_id']}",
            )


def of_failed_run(row: Mapping[str, Any]) -> Condition:
    """All failures of a job, until it succeeds, are one incident."""
    run_id = row["run_id"]
    return Condition(
        f"RunFailed {row['location']} {row['job']}",
        "RunFailed",
        f"{row['job']} failed",
        location=row["location"],
        job=row["job"],
        cause=shortened(row["cause"] or ""),
        fix=f"open the run, mend the cause, Re-execute; its container, while it is kept:"
        f" docker logs $(docker ps -aq --filter name={run_id})",
        path=f"/runs/{run_id}",
    )


def of_problems(files: Files) -> Iterator[Condition]:
    """Files of locations that are not used."""
    for location, problem in files.problems.items():
        yield Condition(
            f"AlertsFile {location}",
            "AlertsFile",
            f"code_locations/{location}/alerts.yaml is not used; its alerts come here",
            cause=shortened(problem),
            fix="make alerts-check",
        )
