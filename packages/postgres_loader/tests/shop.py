"""Tables of a shop, and definitions that load them, as a location has them."""

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
    description="Everyone who ever registered in the shop, one row per customer.",
    primary_key=("customer_id",),
    columns=(
        Column("customer_id", "bigint", "Identifies the customer."),
        Column("name", "text", "Full name, as the customer writes it."),
        Column("email", "text", "Address for order mail.", nullable=True),
        Column("city", "text", "City of the default delivery address.", nullable=True),
        Column("country", "text", "ISO 3166-1 alpha-2 code of that address."),
        Column("registered_at", "timestamp with time zone", "When the account was made, UTC."),
    ),
)

PRODUCTS = Table(
    name="products",
    description="The catalogue, one row per product, products no longer sold included.",
    primary_key=("product_id",),
    columns=(
        Column("product_id", "bigint", "Identifies the product."),
        Column("name", "text", "Name in the catalogue."),
        Column("category", "text", "Shelf of the shop that the product stands on."),
        Column("description", "text", "Catalogue text.", nullable=True),
        Column("price_cents", "integer", "Current list price, in euro cents."),
        Column("discontinued_at", "timestamp with time zone", "End of sale, UTC.", nullable=True),
    ),
)

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
        "landing_zone": LandingZoneResource(uri=dg.EnvVar("LANDING_ZONE")),
        "postgres": PostgresResource(host="", user="", password="", database="", schema_="raw"),
    },
)
