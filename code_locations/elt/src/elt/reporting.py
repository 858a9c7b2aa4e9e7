"""How tables, loads and failures look in Dagster's UI."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from elt.errors import EltError
from elt.loading import LoadResult
from elt.tables import Table

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
    """Metadata of a materialization; also prints the counts, for the run's captured output."""
    counts = {
        "inserted": result.inserted,
        "updated": result.updated,
        "unchanged": result.rows - result.inserted - result.updated,
        "deleted": result.deleted,
    }
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(
        f"raw.{table.name}: {result.rows} rows ({said}), "
        f"{result.bytes_read} bytes in {duration_s:.2f} s",
        flush=True,
    )
    return {
        "dagster/row_count": result.rows,
        **counts,
        "bytes": result.bytes_read,
        "duration_s": round(duration_s, 3),
        "preview": _markdown_table(table.column_names, result.preview),
    }


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turns expected errors into a dagster.Failure with the error's sentence and details."""
    try:
        yield
    except EltError as error:
        raise dg.Failure(description=str(error), metadata=error.details) from None


def _markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dg.MarkdownMetadataValue:
    lines = [columns, ["---"] * len(columns), *rows]
    text = "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)
    return dg.MetadataValue.md(text)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    text = text if len(text) <= CELL_LIMIT else f"{text[:CELL_LIMIT]}…"
    return text.replace("|", "\\|").replace("\n", " ")
