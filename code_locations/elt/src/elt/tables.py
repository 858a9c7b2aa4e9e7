"""The raw tables, declared once: the DDL, the checks of a load and the UI's docs follow."""

from datetime import date

from postgres_loader.tables import Column, Table

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
    # A day without a single order says so by a file with nothing but the header.
    days_may_be_empty=True,
    day_column="ordered_at",
    first_day=date(2025, 1, 1),
)

# What the landing zone has files of.
LANDING_TABLES = (CUSTOMERS, ORDERS, PRODUCTS)

# Columns are the API's fields, flattened by postgres_loader.flattening.flatten().
USERS = Table(
    name="users",
    description="Users as the users API last gave them, one row per user.",
    primary_key=("id",),
    columns=(
        Column("id", "bigint", "Identifies the user."),
        Column("name", "text", "Full name.", nullable=True),
        Column("username", "text", "Login name.", nullable=True),
        Column("email", "text", "Mail address.", nullable=True),
        Column("phone", "text", "Phone number, free text.", nullable=True),
        Column("website", "text", "Host name of the user's site.", nullable=True),
        Column("address_street", "text", "Street of the postal address.", nullable=True),
        Column("address_suite", "text", "Suite or apartment.", nullable=True),
        Column("address_city", "text", "City.", nullable=True),
        Column("address_zipcode", "text", "Postal code.", nullable=True),
        Column("address_geo_lat", "double precision", "Latitude in degrees.", nullable=True),
        Column("address_geo_lng", "double precision", "Longitude in degrees.", nullable=True),
        Column("company_name", "text", "Employer.", nullable=True),
        Column("company_catch_phrase", "text", "The employer's slogan.", nullable=True),
        Column("company_bs", "text", "What the employer says it does.", nullable=True),
    ),
    # How many users may vanish at once is refuse_mass_vanishing()'s to say.
    may_be_empty=True,
    marks_missing=True,
)
