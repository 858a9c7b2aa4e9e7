"""How tables, loads and failures look in Dagster's UI."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import psycopg2

from postgres_loader.copying import reason
from postgres_loader.errors import BadInput, LoaderError, RejectedRow
from postgres_loader.loading import LoadResult
from postgres_loader.outages import may_pass
from postgres_loader.tables import Table

CELL_LIMIT = 80


def column_schema(table: Table) -> dg.TableSchema:
    """The declared columns, with types, constraints and descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=(column.name,) == table.primary_key
                ),
            )
            for column in table.columns
        ]
    )


def load_metadata(table: Table, result: LoadResult, duration_s: float) -> dict[str, Any]:
    """Metadata of a materialization; numbers, so that the UI plots them over time.

    Also prints the counts, for the run's captured output, and logs what deserves a look.
    """
    counts = {
        "inserted": result.inserted,
        "updated": result.updated,
        "unchanged": result.rows - result.inserted - result.updated,
        "deleted": result.deleted,
        "rejected": result.rejected,
        "outside": result.outside,
        **({"marked": result.marked} if table.marks_missing else {}),
    }
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(
        f"{result.relation}: {result.rows} rows ({said}), "
        f"{result.bytes_read} bytes in {duration_s:.2f} s",
        flush=True,
    )
    for warning in _warnings(table, result):
        dg.get_dagster_logger().warning(warning)
    read = result.rows + result.rejected + result.outside
    return {
        "dagster/row_count": result.rows,
        "rows_in": read,
        **counts,
        "bytes": result.bytes_read,
        "duration_s": round(duration_s, 3),
        "rows_per_s": round(read / duration_s) if duration_s > 0 else 0,
        "preview": _markdown_table(table.column_names, result.preview),
        **_named("new_columns", result.undeclared),
        **_named("added_columns", result.added_columns),
        **_rejected_rows(result.rejected_rows),
    }


def max_rejected_share() -> float | None:
    """The environment's MAX_REJECTED_SHARE, 0 to 1, if it is set: then it goes for all tables.

    Raises LoaderError for anything else.
    """
    return _share("MAX_REJECTED_SHARE")


def max_deleted_share() -> float | None:
    """The same for MAX_DELETED_SHARE."""
    return _share("MAX_DELETED_SHARE")


def _share(variable: str) -> float | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise LoaderError(f"{variable} is {text!r}; it must be a number from 0 to 1")
    return share


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turns expected errors into a dagster.Failure with the error's sentence and details."""
    try:
        yield
    except psycopg2.Error as error:
        raise dg.Failure(
            description=f"the warehouse refused: {reason(error)}", allow_retries=may_pass(error)
        ) from None
    except LoaderError as error:
        rows = error.rejected_rows if isinstance(error, BadInput) else ()
        metadata = {**error.details, **_rejected_rows(rows)}
        raise dg.Failure(
            description=str(error), metadata=metadata, allow_retries=error.may_pass
        ) from None


def _warnings(table: Table, result: LoadResult) -> Iterator[str]:
    if result.rejected:
        yield f"{result.rejected} bad rows are in {result.relation}_rejected"
    if result.unidentified:
        yield (
            f"the keys of {result.unidentified} bad rows cannot be read, and they may be any of "
            f"the rows that {result.relation} has: none of these was taken for missing"
        )
    ignored = [name for name in result.undeclared if table.new_columns != "add"]
    if ignored:
        yield f"columns that {result.relation} does not declare were left out: {_listed(ignored)}"
    if result.added_columns:
        yield f"{result.relation} has new columns: {_listed(result.added_columns)}"


def _named(name: str, columns: Sequence[str]) -> dict[str, Any]:
    return {name: _listed(columns)} if columns else {}


def _listed(names: Sequence[str]) -> str:
    """The names; those that cannot be seen are quoted."""
    return ", ".join(name if name.strip() else f'"{name}"' for name in names)


def _rejected_rows(rows: Sequence[RejectedRow]) -> dict[str, Any]:
    return {"rejected_rows": _markdown_table(RejectedRow._fields, rows)} if rows else {}


def _markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dg.MarkdownMetadataValue:
    lines = [columns, ["---"] * len(columns), *rows]
    text = "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)
    return dg.MetadataValue.md(text)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    text = text if len(text) <= CELL_LIMIT else f"{text[:CELL_LIMIT]}…"
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
