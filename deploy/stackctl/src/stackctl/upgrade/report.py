"""What people read before they let an upgrade go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stackctl.upgrade.trial import Findings, Tried
from stackctl.upgrade.versions import Versions


def report(
    versions: Versions, findings: Findings, backup: str, reconfigured: Sequence[str]
) -> list[str]:
    """The report, a line each."""
    return [
        f"Dagster   {_step(versions.dagster, versions.to_dagster)}",
        f"Postgres  {_step(versions.postgres, versions.to_postgres)}",
        f"Images    {', '.join(_short(versions.changed)) or 'none changes'}",
        f"Settings  {_settings(reconfigured)}",
        f"Database  {_database(findings)}",
        *(f"            {line}" for line in findings.schema),
        f"Backup    {backup}",
        "Locations, each in the image that is live, under the new control plane:",
        *(f"  {line}" for each in findings.locations for line in _location(each)),
        f"The trial took {findings.seconds:.0f} s.",
    ]


def objections(findings: Findings, accepted: Iterable[str]) -> list[str]:
    """Locations that work now, and do not under the new control plane; but for accepted ones."""
    return [
        each.location
        for each in findings.locations
        if each.loaded_before and not each.works and each.location not in set(accepted)
    ]


def _step(before: str, after: str) -> str:
    return f"{before}, as before" if before == after else f"{before} to {after}"


def _short(images: Iterable[str]) -> list[str]:
    return [name.rpartition("/")[2].removesuffix(":live") for name in images]


def _settings(services: Sequence[str]) -> str:
    if not services:
        return "of its services as before"
    return (
        f"docker-compose.yml or .env changes {', '.join(services)}, too; the way back needs the"
        " former checkout"
    )


def _database(findings: Findings) -> str:
    took = f"the migration took {findings.migration_s:.1f} s on the copy"
    if not findings.schema:
        return f"{took}, and changes no table: the way back keeps all data"
    return (
        f"{took}, and changes tables: the UI is away for as long, and the way back restores the"
        " state before the switch"
    )


def _location(tried: Tried) -> list[str]:
    name = f"{tried.location} (Dagster {tried.dagster})"
    if tried.error:
        since = "any more" if tried.loaded_before else ", nor does it now"
        return [f"{name}: DOES NOT LOAD {since}".replace(" ,", ","), f"    {tried.error}"]
    if tried.run == "SUCCESS":
        return [f"{name}: loads, and a run of {tried.job} succeeded"]
    what = f"loads, and a run of {tried.job or 'it'} DID NOT SUCCEED ({tried.run})"
    return [f"{name}: {what}", f"    {tried.run_error}"]
