"""Gauges that one query each says, from the views that deploy/postgres/dagster makes for them."""

from __future__ import annotations

from dataclasses import dataclass

from stack_exporter.series import Family

FAST_S = 15.0
SLOW_S = 60.0


@dataclass(frozen=True)
class Query:
    """One query, how often it is asked, and what its rows say."""

    name: str
    every_s: float
    sql: str
    families: tuple[Family, ...]


_RUN = ("location", "job", "status")

QUERIES = (
    Query(
        "queue",
        FAST_S,
        "SELECT location, job, status, count(*) AS runs,"
        " extract(epoch FROM now()) - min(CASE WHEN status = 'STARTED'"
        " THEN coalesce(started_s, changed_s) ELSE changed_s END) AS age_s"
        " FROM monitoring.active_runs GROUP BY location, job, status",
        (
            Family("dagster_active_runs", "Runs that have not ended.", _RUN, "runs"),
            Family(
                "dagster_active_run_oldest_age_seconds",
                "Age of the oldest run in this state, since it came into it.",
                _RUN,
                "age_s",
                max,
            ),
        ),
    ),
    Query(
        "instigators",
        FAST_S,
        "SELECT each.location, lower(each.type) AS type, each.name, (each.status <> 'STOPPED')::int"
        " AS running, last.due_s, (last.status = 'FAILURE')::int AS failing"
        " FROM monitoring.instigators AS each LEFT JOIN LATERAL ("
        " SELECT due_s, status FROM monitoring.ticks AS ticks"
        " WHERE ticks.selector_id = each.selector_id AND status <> 'STARTED'"
        " ORDER BY ticks.due_at DESC LIMIT 1) AS last ON true",
        (
            Family(
                "dagster_instigator_running",
                "Whether a schedule or sensor is turned on.",
                ("location", "type", "name"),
                "running",
            ),
            Family(
                "dagster_instigator_last_tick_timestamp_seconds",
                "When its last finished tick was due (schedule) or made (sensor).",
                ("location", "type", "name"),
                "due_s",
                min,
            ),
            Family(
                "dagster_instigator_failing",
                "Whether its last finished tick failed.",
                ("location", "type", "name"),
                "failing",
            ),
        ),
    ),
    Query(
        "daemons",
        FAST_S,
        "SELECT lower(daemon) AS daemon, at_s, errors FROM monitoring.heartbeats",
        (
            Family(
                "dagster_daemon_heartbeat_timestamp_seconds",
                "Last heartbeat of each daemon.",
                ("daemon",),
                "at_s",
                min,
            ),
            Family("dagster_daemon_errors", "Errors in its heartbeat.", ("daemon",), "errors"),
        ),
    ),
    Query(
        "pools",
        FAST_S,
        "SELECT pool, slots, used, waiting FROM monitoring.pools",
        (
            Family("dagster_pool_slots", "Limit of a pool.", ("pool",), "slots"),
            Family("dagster_pool_slots_used", "Slots that steps hold.", ("pool",), "used"),
            Family("dagster_pool_steps_waiting", "Steps that wait.", ("pool",), "waiting"),
        ),
    ),
    Query(
        "assets",
        SLOW_S,
        "SELECT asset, at_s FROM monitoring.assets",
        (
            Family(
                "dagster_asset_last_materialization_timestamp_seconds",
                "Last materialization of an asset.",
                ("asset",),
                "at_s",
                min,
            ),
        ),
    ),
    Query(
        "freshness",
        SLOW_S,
        "SELECT asset, state, 1 AS one FROM monitoring.freshness WHERE state IN ('WARN', 'FAIL')",
        (
            Family(
                "dagster_asset_stale",
                "1 for an asset whose freshness policy warns or fails.",
                ("asset", "state"),
                "one",
            ),
        ),
    ),
    Query(
        "checks",
        SLOW_S,
        'SELECT asset, "check", 1 AS one FROM monitoring.checks'
        " WHERE status IN ('FAILED', 'EXECUTION_FAILED')",
        (
            Family(
                "dagster_asset_check_failed",
                "1 for an asset check whose last evaluation failed.",
                ("asset", "check"),
                "one",
            ),
        ),
    ),
    Query(
        "postgres_sessions",
        FAST_S,
        "SELECT *, current_setting('max_connections')::int AS most FROM monitoring.sessions()",
        (
            Family("postgres_sessions", "Sessions.", ("role", "database", "state"), "sessions"),
            Family(
                "postgres_sessions_waiting_for_lock", "Of these, waiting.", ("role",), "waiting"
            ),
            Family(
                "postgres_longest_statement_seconds",
                "Age of the oldest statement at work.",
                ("role", "database"),
                "longest_statement_s",
                max,
            ),
            Family(
                "postgres_longest_transaction_seconds",
                "Age of the oldest transaction.",
                ("role", "database"),
                "longest_transaction_s",
                max,
            ),
            Family("postgres_max_connections", "Setting max_connections.", (), "most", max),
        ),
    ),
    Query(
        "postgres_databases",
        SLOW_S,
        "SELECT * FROM monitoring.databases()",
        tuple(
            Family(f"postgres_database_{name}", text, ("database",), column)
            for name, text, column in (
                ("size_bytes", "Size on disk.", "bytes"),
                ("commits", "Transactions committed since the statistics began.", "commits"),
                ("rollbacks", "Transactions rolled back.", "rollbacks"),
                ("deadlocks", "Deadlocks.", "deadlocks"),
                ("temporary_bytes", "Written to temporary files.", "temp_bytes"),
                ("blocks_read", "Blocks read from disk.", "blocks_read"),
                ("blocks_hit", "Blocks found in memory.", "blocks_hit"),
            )
        ),
    ),
    Query(
        "postgres_tables",
        SLOW_S,
        "SELECT * FROM monitoring.tables()",
        (
            Family("dagster_table_bytes", "Dagster's largest tables.", ("table",), "bytes"),
            Family("dagster_table_rows", "Their rows, estimated.", ("table",), "live_rows"),
            Family("dagster_table_dead_rows", "Rows to clean up.", ("table",), "dead_rows"),
        ),
    ),
)
