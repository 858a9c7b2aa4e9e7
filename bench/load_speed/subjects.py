"""What is compared: each subject's command for each operation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import table
from rows import Files
from server import BINARIES, Server

_HERE = Path(__file__).parent
REPOSITORY = _HERE.parents[1]
ELT = REPOSITORY / "code_locations" / "elt"

FIRST, RERUN, UPSERT = "first load", "rerun", "upsert"
# The edition of the rows that each loads; but for the first load, on what that leaves.
EDITIONS = {FIRST: 0, RERUN: 0, UPSERT: 1}
COPY, COPY_KEY, BY_HAND, ELT_CSV, ELT_PARQUET, DLT, PANDAS = (
    "psql \\copy, no key",
    "psql \\copy, then key",
    "psql \\copy, ON CONFLICT",
    "elt, CSV",
    "elt, Parquet",
    "dlt, Parquet",
    "pandas to_sql, CSV",
)
# Whose speed the others are compared with, by operation.
REFERENCES = {FIRST: (COPY, COPY_KEY, DLT), RERUN: (BY_HAND, DLT), UPSERT: (BY_HAND, DLT)}


@dataclass(frozen=True)
class Subject:
    """A way to load. `operations` are its own; each but the first load is made on what one leaves.

    `command(operation, files, server, folder)` gives the process; `folder` is kept from that first
    load to the operation. `rounds` limits how often it is measured.
    """

    name: str
    operations: tuple[str, ...]
    command: Callable[[str, Files, Server, Path], Sequence[str]]
    rounds: int | None = None


def _psql(*steps: str) -> list[str]:
    """All steps in one transaction."""
    commands = [part for step in steps for part in ("--command", step)]
    quiet = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction")
    return [str(BINARIES / "psql"), *quiet, *commands]


def _copy(files: Files, name: str = f"{table.SCHEMA}.{table.NAME}") -> str:
    return f"\\copy {name} FROM '{files.csv}' WITH (FORMAT csv, HEADER, ENCODING 'UTF8')"


def _psql_copy(_operation: str, files: Files, _server: Server, _folder: Path) -> Sequence[str]:
    return _psql(table.create(), _copy(files))


def _psql_copy_key(_operation: str, files: Files, _server: Server, _folder: Path) -> Sequence[str]:
    return _psql(table.create(), _copy(files), table.add_key())


def _psql_upsert(operation: str, files: Files, server: Server, folder: Path) -> Sequence[str]:
    if operation == FIRST:
        return _psql_copy_key(operation, files, server, folder)
    others = [name for name, _, _ in table.COLUMNS if name != table.KEY]
    new = ", ".join(f"{name} = excluded.{name}" for name in others)
    return _psql(
        table.create("incoming", "TEMPORARY"),
        _copy(files, "incoming"),
        f"INSERT INTO {table.SCHEMA}.{table.NAME} SELECT * FROM incoming "
        f"ON CONFLICT ({table.KEY}) DO UPDATE SET {new}",
    )


def _python(loader: str, *arguments: str, interpreter: str = sys.executable) -> list[str]:
    return [interpreter, str(_HERE / "loaders" / loader), *arguments]


def _elt(suffix: str) -> Callable[[str, Files, Server, Path], Sequence[str]]:
    def command(_operation: str, files: Files, _server: Server, _folder: Path) -> Sequence[str]:
        interpreter = str(ELT / ".venv" / "bin" / "python")
        return _python("with_elt.py", str(getattr(files, suffix)), interpreter=interpreter)

    return command


def _dlt(operation: str, files: Files, server: Server, folder: Path) -> Sequence[str]:
    disposition = "append" if operation == FIRST else "merge"
    return _python("with_dlt.py", str(files.parquet), disposition, server.url, str(folder))


def _pandas(_operation: str, files: Files, server: Server, _folder: Path) -> Sequence[str]:
    return _python("with_pandas.py", str(files.csv), server.url)


SUBJECTS = (
    Subject(COPY, (FIRST,), _psql_copy),
    Subject(COPY_KEY, (FIRST,), _psql_copy_key),
    Subject(BY_HAND, (RERUN, UPSERT), _psql_upsert),
    Subject(ELT_CSV, (FIRST, RERUN, UPSERT), _elt("csv")),
    Subject(ELT_PARQUET, (FIRST, RERUN, UPSERT), _elt("parquet")),
    Subject(DLT, (FIRST, RERUN, UPSERT), _dlt),
    # Once: minutes a million rows.
    Subject(PANDAS, (FIRST,), _pandas, rounds=1),
)
