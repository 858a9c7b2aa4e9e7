"""Tables of a shop, and definitions that load them, as a location has them."""

import dataclasses
from datetime import date

import dagster as dg
from location_kit.postgres import PostgresResource

from postgres_loader import (
    Column,
    LandingZoneResource,
    Table,
    build_landing_zone_sensor,
    table_asset,
)

CUSTOMERS = Table(
    name="customers",
    description="Customers.",
    primary_key=("customer_id",),
    columns=(Column("customer_id", "bigint", "Identifies the customer."),),
)
PRODUCTS = dataclasses.replace(CUSTOMERS, name="products", description="Products.")

ORDERS = Table(
    name="orders",
    description="Paid orders, one row per order of one product.",
    primary_key=("order_id",),
    columns=(
        Column("order_id", "bigint", "Identifies the order."),
        Column("customer_id", "bigint", "Who ordered: customers.customer_id."),
        Column("product_id", "bigint", "What was ordered: products.product_id."),
        Column("quantity", "integer", "Number of pieces."),
        Column("amount_cents", "bigint", "What was paid for all pieces, in euro cents."),
        Column("ordered_at", "timestamp with time zone", "When the order was paid, UTC."),
        Column("shipped_at", "timestamp with time zone", "When it left, UTC.", nullable=True),
        Column("note", "text", "The customer's words to the shop.", nullable=True),
    ),
    day_column="ordered_at",
    first_day=date(2025, 1, 1),
)

# What the landing zone has files of.
LANDING_TABLES = (CUSTOMERS, ORDERS, PRODUCTS)

orders_table = table_asset(ORDERS)
customers_table = table_asset(CUSTOMERS, tables=LANDING_TABLES)
DEFINITIONS = dg.Definitions(
    assets=[customers_table, orders_table, table_asset(PRODUCTS)],
    sensors=[build_landing_zone_sensor(LANDING_TABLES)],
    resources={
        "landing_zone": LandingZoneResource.from_environment(),
        "postgres": PostgresResource(host="", user="", password="", database="", schema_="raw"),
    },
)
