"""The tables that models read and somebody else makes."""

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg2.extensions import cursor as Cursor


class SourcesMissing(Exception):
    """Tables that the models read are not there; names them, and the jobs that make them."""


def sources_of(manifest: Mapping[str, Any], models: Iterable[str]) -> list[Mapping[str, Any]]:
    """The sources that these models (unique ids) read themselves, as the manifest has them."""
    names = {name for model in models for name in manifest["nodes"][model]["depends_on"]["nodes"]}
    return [manifest["sources"][name] for name in sorted(names) if name in manifest["sources"]]


def require(cursor: Cursor, sources: Iterable[Mapping[str, Any]]) -> None:
    """Raises SourcesMissing unless all are in the warehouse."""
    missing = []
    for source in sources:
        cursor.execute(
            "SELECT to_regclass(format('%%I.%%I', %s, %s)) IS NULL",
            (source["schema"], source["identifier"]),
        )
        if cursor.fetchone() == (True,):
            missing.append(source)
    if missing:
        tables = " and ".join(f"{source['schema']}.{source['identifier']}" for source in missing)
        jobs = " and ".join(sorted({_job(source) for source in missing}))
        raise SourcesMissing(f"{tables} not in the warehouse yet; run {jobs} first")


def _job(source: Mapping[str, Any]) -> str:
    return str(source["config"]["meta"].get("loaded_by", f"what loads {source['source_name']}"))
