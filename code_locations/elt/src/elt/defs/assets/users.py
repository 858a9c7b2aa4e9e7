import contextlib
import dataclasses
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import dagster as dg
from location_kit.postgres import PostgresResource
from paged_api import ApiError, redact
from postgres_loader.flattening import Drift, FlatRecords, drift
from postgres_loader.loading import load
from postgres_loader.progress import Progress
from postgres_loader.reporting import column_schema, failures, load_metadata, max_rejected_share
from postgres_loader.sources import RecordSource
from postgres_loader.vanishing import refuse_mass_vanishing
from pydantic import Field

from elt.defs.resources import UsersApiResource
from elt.tables import USERS

# How to let one load through that the guard refuses.
ALLOW = (
    "If it is right, launch the run with this config: "
    "{ops: {users_in_postgres: {config: {max_missing_share: 1}}}}"
)


# After the client's own attempts: 20, 60 and 140 s. Only for what may pass.
RETRIES = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL)


@dg.asset(group_name="users", kinds={"api"}, owners=["team:elt"], retry_policy=RETRIES)
def api_users(users_api: UsersApiResource) -> dg.Output[list[dict[str, Any]]]:
    """Every user that the users API has, one object each, as the API gives them.

    Kept with the run's artifacts, so that a load that failed can be run again from here.
    """
    started = perf_counter()
    try:
        users = users_api.api().read("users")
    except ApiError as error:
        raise dg.Failure(str(error), error.details, allow_retries=error.may_pass) from None
    url = redact(users_api.base_url)
    print(f"{url}: {len(users)} users on {users.pages} pages", flush=True)
    return dg.Output(
        users.records,
        metadata={
            "dagster/row_count": len(users),
            "pages": users.pages,
            "moved_between_pages": users.moved,
            "bytes": users.bytes_read,
            "url": dg.MetadataValue.url(url),
            "duration_s": round(perf_counter() - started, 3),
        },
    )


class UsersLoad(dg.Config):
    """What one run may do that others may not."""

    max_missing_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description=(
            "Of the known users, those that may vanish at once; more than this is refused. "
            "Instead of the setting."
        ),
    )


@dg.asset(
    description=f"{USERS.description} Who vanishes from there stays, with missing_since set.",
    group_name="users",
    kinds={"postgres"},
    owners=["team:elt"],
    metadata={
        "dagster/column_schema": column_schema(USERS),
        "dagster/table_name": f"raw.{USERS.name}",
    },
)
def users_in_postgres(
    context: dg.AssetExecutionContext,
    config: UsersLoad,
    api_users: list[dict[str, Any]],
    users_api: UsersApiResource,
    postgres: PostgresResource,
) -> dg.MaterializeResult:
    started = perf_counter()
    url = redact(users_api.base_url)
    max_missing_share = config.max_missing_share
    if max_missing_share is None:
        max_missing_share = users_api.max_missing_share
    table = dataclasses.replace(USERS, new_columns=users_api.new_fields)
    with (
        failures(),
        Progress(context.log.info) as progress,
        postgres.get_connection() as connection,
    ):
        records = FlatRecords(url, api_users, table)

        @contextlib.contextmanager
        def open_source() -> Iterator[RecordSource]:
            ids = (user.get("id") for user in api_users)
            refuse_mass_vanishing(
                connection, postgres.schema_, table, ids, url, max_missing_share, ALLOW
            )
            yield RecordSource(url, records, table)

        result = load(
            connection,
            postgres.schema_,
            table,
            open_source,
            missing="mark",
            max_rejected_share=max_rejected_share(),
            progress=progress,
        )
    return dg.MaterializeResult(
        metadata={
            **load_metadata(table, result, perf_counter() - started),
            **_drift_metadata(drift(records, table), len(records)),
        }
    )


def _drift_metadata(found: Drift, users: int) -> dict[str, str]:
    missing = (f"{name} ({count} of {users} users)" for name, count in found.missing.items())
    return {
        "undeclared_fields": ", ".join(found.undeclared) or "none",
        "missing_fields": ", ".join(missing) or "none",
    }
