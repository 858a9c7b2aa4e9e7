"""Names that two code locations define, of which the workspace has one only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.internals.code_servers import (
    DEFAULT_AUTOMATION_CONDITION_SENSOR_NAME,
    AssetExecutionType,
    RepositorySnap,
)

Claims = Mapping[str, frozenset[str]]
"""{kind: names} that one location claims for itself in the whole workspace."""


def claims(snap: RepositorySnap) -> Claims:
    """What a repository claims.

    An asset that it only depends on belongs to another one. Dagster allows one materializable and
    one observable asset of a key.
    """

    def assets(kind: AssetExecutionType) -> frozenset[str]:
        nodes = (node for node in snap.asset_nodes if node.execution_type == kind)
        return frozenset(node.asset_key.to_user_string() for node in nodes)

    checks = snap.asset_check_nodes or ()
    jobs = (job.name for job in snap.get_job_refs())
    sensors = (sensor.name for sensor in snap.sensors)
    return {
        "asset": assets(AssetExecutionType.MATERIALIZATION),
        "observable asset": assets(AssetExecutionType.OBSERVATION),
        "asset check": frozenset(f"{one.asset_key.to_user_string()}:{one.name}" for one in checks),
        "job": frozenset(name for name in jobs if not name.startswith("__")),
        "schedule": frozenset(schedule.name for schedule in snap.schedules),
        # Each location with an automation condition has this one, from Dagster.
        "sensor": frozenset(sensors) - {DEFAULT_AUTOMATION_CONDITION_SENSOR_NAME},
    }


def united(parts: list[Claims]) -> Claims:
    """What the repositories of one location claim together."""
    kinds = [kind for part in parts[:1] for kind in part]
    return {kind: frozenset[str]().union(*(part[kind] for part in parts)) for kind in kinds}


def clashes(candidate: Claims, live: Claims, others: Mapping[str, Claims]) -> list[dict[str, Any]]:
    """What ``candidate`` claims and another location, too; sorted by kind and name.

    Keys: ``kind``, ``name``, ``locations``, ``new`` (whether ``live`` does not claim it).
    """
    found = []
    for kind, names in candidate.items():
        having: dict[str, list[str]] = {}
        for location, other in sorted(others.items()):
            for name in names & other.get(kind, frozenset()):
                having.setdefault(name, []).append(location)
        found += [
            {"kind": kind, "name": name, "locations": where, "new": name not in live.get(kind, ())}
            for name, where in sorted(having.items())
        ]
    return found
