from typing import Any

import dagster as dg


@dg.asset(group_name="users")
def api_users() -> list[dict[str, Any]]:
    return []


@dg.asset(group_name="users")
def users_in_postgres(api_users: list[dict[str, Any]]) -> None: ...
