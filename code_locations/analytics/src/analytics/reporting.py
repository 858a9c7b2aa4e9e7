"""How tables look in Dagster's UI."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from analytics.customer_orders import Column


def column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """The declared columns, with types, constraints and descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )


def markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> dg.MarkdownMetadataValue:
    """A few rows as a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return dg.MetadataValue.md(
        "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
