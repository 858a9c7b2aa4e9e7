import contextlib
from time import perf_counter
from typing import Any

import dagster as dg

from elt.defs.resources import UsersApiResource
from elt.loading import load
from elt.postgres import PostgresResource
from elt.reporting import column_schema, failures, load_metadata
from elt.sources import RecordSource
from elt.tables import USERS
from elt.users_api import fetch_users, flatten


@dg.asset(group_name="users", kinds={"api"}, owners=["team:elt"])
def api_users(users_api: UsersApiResource) -> dg.Output[list[dict[str, Any]]]:
    """Every user that the users API has, one object each, as the API gives them.

    Kept with the run's artifacts, so that a load that failed can be run again from here.
    """
    started = perf_counter()
    with failures():
        users = fetch_users(users_api.base_url, users_api.timeout_s)
    print(f"{users_api.base_url}: {len(users)} users", flush=True)
    return dg.Output(
        users,
        metadata={
            "dagster/row_count": len(users),
            "url": dg.MetadataValue.url(users_api.base_url),
            "duration_s": round(perf_counter() - started, 3),
        },
    )


@dg.asset(
    description=f"{USERS.description} Users that the API no longer has stay as they were.",
    group_name="users",
    kinds={"postgres"},
    owners=["team:elt"],
    metadata={
        "dagster/column_schema": column_schema(USERS),
        "dagster/table_name": f"raw.{USERS.name}",
    },
)
def users_in_postgres(
    api_users: list[dict[str, Any]],
    users_api: UsersApiResource,
    postgres: PostgresResource,
) -> dg.MaterializeResult:
    started = perf_counter()
    records = [flatten(user) for user in api_users]
    undeclared = sorted({name for record in records for name in record} - set(USERS.column_names))
    with failures(), postgres.get_connection() as connection:
        result = load(
            connection,
            postgres.schema_,
            USERS,
            lambda: contextlib.nullcontext(RecordSource(users_api.base_url, records, USERS)),
            missing="keep",
        )
    return dg.MaterializeResult(
        metadata={
            **load_metadata(USERS, result, perf_counter() - started),
            "undeclared_fields": ", ".join(undeclared) or "none",
        }
    )
