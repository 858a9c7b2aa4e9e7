"""Connections to the warehouse."""

import contextlib
from collections.abc import Iterator

import dagster as dg
import psycopg2
from psycopg2.extensions import connection as Connection
from pydantic import Field

CONNECT_TIMEOUT_S = 10
# The server's words for what does not pass by itself; a refused connection has no SQLSTATE.
_PERMANENT = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied",
    "does not exist",
)


class PostgresResource(dg.ConfigurableResource):
    """A PostgreSQL database, seen through one schema."""

    host: str = Field(description="Name or address of the server.")
    port: int = Field(default=5432, description="The server's TCP port.")
    user: str = Field(description="Role to connect as.")
    password: str = Field(description="The role's password.")
    database: str = Field(description="Name of the database.")
    schema_: str = Field(description="The schema that unqualified names are looked up in.")

    @contextlib.contextmanager
    def get_connection(self) -> Iterator[Connection]:
        """A connection: commits when the block ends, rolls back when it raises, always closes.

        Raises dagster.Failure, which names server, database and role, when there is none; it
        allows retries unless role, password or database are wrong.
        """
        connection = self._connect()
        try:
            yield connection
            connection.commit()
        except BaseException:
            if not connection.closed:  # the server may have gone; the first error is the one to see
                connection.rollback()
            raise
        finally:
            connection.close()

    def _connect(self) -> Connection:
        try:
            connection = psycopg2.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname=self.database,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name=f"dagster run as {self.user}",
                # A server that vanished is noticed after a minute, not after hours.
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
            )
        except psycopg2.OperationalError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise dg.Failure(
                description=f"no connection to database {self.database} on {self.host}:{self.port} "
                f"as {self.user}: {reason}",
                allow_retries=not any(words in reason for words in _PERMANENT),
            ) from None
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('search_path', quote_ident(%s), false)", (self.schema_,)
            )
        return connection
