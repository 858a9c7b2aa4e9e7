import contextlib
from collections.abc import Iterator
from time import perf_counter

import dagster as dg

from elt.defs.resources import LandingZoneResource
from elt.loading import load
from elt.postgres import PostgresResource
from elt.reporting import column_schema, failures, load_metadata
from elt.sources import CsvSource
from elt.tables import CUSTOMERS, ORDERS, PRODUCTS, Table


def table_asset(table: Table) -> dg.AssetsDefinition:
    """The asset `<table>_table`: `<table>.csv` of the landing zone as raw.<table>."""

    @dg.asset(
        name=f"{table.name}_table",
        description=f"{table.description} Replaced by {table.file_name} of the landing zone.",
        group_name="tables",
        kinds={"csv", "postgres"},
        owners=["team:elt"],
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"raw.{table.name}",
        },
    )
    def load_table(
        landing_zone: LandingZoneResource, postgres: PostgresResource
    ) -> dg.MaterializeResult:
        started = perf_counter()
        with failures():
            zone = landing_zone.open()

            @contextlib.contextmanager
            def open_source() -> Iterator[CsvSource]:
                with zone.open(table.file_name) as stream:
                    yield CsvSource(zone.uri_of(table.file_name), stream, table)

            with postgres.get_connection() as connection:
                result = load(connection, postgres.schema_, table, open_source, missing="delete")
        return dg.MaterializeResult(
            metadata={
                "file": dg.MetadataValue.url(zone.uri_of(table.file_name)),
                **load_metadata(table, result, perf_counter() - started),
            }
        )

    return load_table


customers_table = table_asset(CUSTOMERS)
orders_table = table_asset(ORDERS)
products_table = table_asset(PRODUCTS)
