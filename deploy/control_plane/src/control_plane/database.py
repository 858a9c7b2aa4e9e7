"""Databases, roles, schemas and grants of the stack's Postgres, applied idempotently."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from control_plane.errors import StackError

CONTROL_ROLE = "dagster"
RUN_ROLE = "dagster_run"
BACKUP_ROLE = "backup"
MONITORING_ROLE = "dagster_monitoring"
ALERTS_ROLE = "dagster_alerts"
INSTANCE_DATABASE = "dagster"
WAREHOUSE_DATABASE = "warehouse"
# What a location's role may hold at once: its code server, its runs and its standby workers.
LOCATION_CONNECTIONS = 60
# The exporter holds one, the alerts service two; further ones are for a person who looks.
_WATCHER_CONNECTIONS = 5
_START_DEADLINE_S = 60
_LOCK_DEADLINE_S = 30
_AS_SUPERUSER = "-- Run as the superuser"
# How much one statement of a location may put into temporary files in Dagster's database.
_TEMP_FILE_LIMIT = "256MB"


@dataclass(frozen=True)
class Server:
    """Where Postgres answers, and its superuser's password; and the one that it may still have."""

    host: str
    port: int
    password: str
    former: str | None = None


@contextmanager
def connect(server: Server, database: str) -> Iterator[Any]:
    """A superuser connection; commits on success, always closed."""
    try:
        connection = _open(server, database)
    except psycopg2.OperationalError as error:
        raise StackError(
            f"Postgres at {server.host}:{server.port}, database {database!r}, "
            f"user 'postgres': {str(error).strip().splitlines()[-1]}"
        ) from None
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def _not_yet_up(error: BaseException) -> bool:
    return isinstance(error, psycopg2.OperationalError) and "password authentication" not in str(
        error
    )


@retry(
    retry=retry_if_exception(_not_yet_up),
    stop=stop_after_delay(_START_DEADLINE_S),
    wait=wait_fixed(0.5),
    reraise=True,
)
def _open(server: Server, database: str) -> Any:
    try:
        return _log_in(server, database, server.password)
    except psycopg2.OperationalError as error:
        if server.former is None or _not_yet_up(error):
            raise
        return _log_in(server, database, server.former)


def _log_in(server: Server, database: str, password: str) -> Any:
    return psycopg2.connect(
        host=server.host,
        port=server.port,
        user="postgres",
        password=password,
        dbname=database,
        connect_timeout=5,
        application_name="control-plane migrate",
    )


def provision(
    server: Server,
    control_password: str,
    location_passwords: Mapping[str, str],
    sql_dir: Path,
    connections: int = LOCATION_CONNECTIONS,
    backup_password: str | None = None,
    monitoring_password: str | None = None,
    alerts_password: str | None = None,
) -> None:
    """Make roles and databases, then what each location owns in the warehouse.

    ``location_passwords`` maps a location's name, which is its role, to its password.
    ``sql_dir`` is deploy/postgres: ``warehouse/<location>.sql`` per location; one without a file
    owns a schema of its own name. ``connections``: how many a location may hold at once.
    ``backup_password``: of the role that may copy the server; None makes none.
    Without ``monitoring_password`` the role of the metrics exporter cannot log in, without
    ``alerts_password`` that of the alerts service.
    """
    with connect(server, "postgres") as connection, connection.cursor() as cursor:
        _ensure_role(cursor, "postgres", server.password)
        _ensure_role(cursor, CONTROL_ROLE, control_password)
        # The server keeps reserved_connections for it, whatever locations take.
        cursor.execute(f"GRANT pg_use_reserved_connections TO {CONTROL_ROLE}")
        if backup_password is not None:
            _ensure_role(cursor, BACKUP_ROLE, backup_password)
            _allow_replication(cursor)
        _ensure_role(cursor, RUN_ROLE, None)
        for role, watcher in (
            (MONITORING_ROLE, monitoring_password),
            (ALERTS_ROLE, alerts_password),
        ):
            _ensure_role(cursor, role, watcher)
            cursor.execute(
                sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(
                    sql.Identifier(role), sql.Literal(_WATCHER_CONNECTIONS)
                )
            )
        for role, password in location_passwords.items():
            _ensure_role(cursor, role, password)
            cursor.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(RUN_ROLE), sql.Identifier(role))
            )
            # Neither can be changed by the role itself.
            cursor.execute(
                sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(
                    sql.Identifier(role), sql.Literal(connections)
                )
            )
        # Postgres lets everybody in there by default.
        cursor.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    for database, owner in ((INSTANCE_DATABASE, CONTROL_ROLE), (WAREHOUSE_DATABASE, "postgres")):
        _ensure_database(server, database, owner, location_passwords)
    with connect(server, INSTANCE_DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(
                sql.Identifier(INSTANCE_DATABASE),
                sql.Identifier(MONITORING_ROLE),
                sql.Identifier(ALERTS_ROLE),
            )
        )
        for role in location_passwords:
            cursor.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET temp_file_limit = {}").format(
                    sql.Identifier(role),
                    sql.Identifier(INSTANCE_DATABASE),
                    sql.Literal(_TEMP_FILE_LIMIT),
                )
            )
    with connect(server, WAREHOUSE_DATABASE) as connection, connection.cursor() as cursor:
        for location in location_passwords:
            path = sql_dir / "warehouse" / f"{location}.sql"
            cursor.execute(path.read_text() if path.exists() else _own_schema(location))


def _allow_replication(cursor: Any) -> None:
    """Let the backup's role copy the server from another container, and do nothing else."""
    cursor.execute(f"ALTER ROLE {BACKUP_ROLE} REPLICATION CONNECTION LIMIT 5")
    cursor.execute(
        "SELECT 1 FROM pg_hba_file_rules WHERE 'replication' = ANY (database)"
        " AND %s = ANY (user_name)",
        (BACKUP_ROLE,),
    )
    if cursor.fetchone() is None:
        # The image's own rules let replication in from the server's own machine alone. Appended, so
        # that the file is whole at every moment.
        cursor.execute(
            f"COPY (SELECT 'host replication {BACKUP_ROLE} all scram-sha-256')"
            """ TO PROGRAM 'cat >>"$PGDATA/pg_hba.conf"'"""
        )
        cursor.execute("SELECT pg_reload_conf()")


def _own_schema(location: str) -> sql.Composed:
    return sql.SQL("CREATE SCHEMA IF NOT EXISTS {0} AUTHORIZATION {0}").format(
        sql.Identifier(location)
    )


def grant_run_rights(server: Server, sql_dir: Path) -> None:
    """Bring rights, row security and guards on Dagster's tables up to date; these must exist.

    What has been applied is recorded, because it takes locks that running runs would wait for.
    Raises StackError when another session keeps a table locked.
    """
    files = sorted((sql_dir / "dagster").glob("*.sql"))
    texts = [file.read_text() for file in files]
    with connect(server, INSTANCE_DATABASE) as connection, connection.cursor() as cursor:
        state = _rights_state(cursor, texts)
        cursor.execute("SELECT obj_description(to_regnamespace('control'), 'pg_namespace')")
        if cursor.fetchone() == (state,):
            return
        cursor.execute("SET LOCAL lock_timeout = %s", (f"{_LOCK_DEADLINE_S}s",))
        for file, text in zip(files, texts, strict=True):
            # The superuser only where the file says so: functions act with their owner's rights.
            owner = "postgres" if text.startswith(_AS_SUPERUSER) else CONTROL_ROLE
            cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
            try:
                cursor.execute(text)
            except psycopg2.errors.LockNotAvailable:
                raise StackError(
                    f"{file.name}: Dagster's tables stayed locked for {_LOCK_DEADLINE_S} s by "
                    "another session. Fix: run this again when the daemon runs, which ends such "
                    "sessions."
                ) from None
        cursor.execute(sql.SQL("COMMENT ON SCHEMA control IS {}").format(sql.Literal(state)))


def _rights_state(cursor: Any, texts: list[str]) -> str:
    """What the rights depend on, as one hash: their text, and Dagster's schema."""
    cursor.execute("SELECT string_agg(version_num, ',') FROM alembic_version")
    (revision,) = cursor.fetchone()
    return hashlib.sha256("\0".join([*texts, str(revision)]).encode()).hexdigest()


def _ensure_role(cursor: Any, role: str, password: str | None) -> None:
    """Create or update a role; without a password it is a group that cannot log in."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    if password is not None:
        # Hashed here, so that the password itself can reach no server log.
        verifier = encrypt_password(password, role, cursor.connection, "scram-sha-256")
        cursor.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier)
            )
        )


def _ensure_database(
    server: Server, database: str, owner: str, locations: Mapping[str, str]
) -> None:
    name = sql.Identifier(database)
    connection = None
    try:
        connection = _open(server, "postgres")
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner))
                )
            # Only those named here come in, and nobody leaves anything in `public`.
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            for role in locations:
                cursor.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role))
                )
    finally:
        if connection is not None:
            connection.close()
