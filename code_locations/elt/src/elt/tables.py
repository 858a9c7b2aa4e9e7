"""The raw tables, declared once: the DDL, the checks of a load and the UI's docs follow."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

# The column that a table with `marks_missing` has beside those that are declared.
MISSING_SINCE = "missing_since"


@dataclass(frozen=True)
class Column:
    """A column: `type` is a PostgreSQL type, spelled as `format_type()` spells it."""

    name: str
    type: str
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the raw schema.

    `may_be_empty` says whether a source without a single row is to be believed. By default it is
    not: an export that lost its rows is far more likely than a business that lost its customers.

    `day_column` is the date or timestamp by which loads of a window and partitions go, in UTC;
    `first_day` is the first that has a partition.
    With `marks_missing`, the table also has `missing_since`, a nullable timestamp. A load fails
    when more than `max_rejected_share` (0 to 1) of a source's rows are bad. Columns that a source
    has and the table has not are refused, reported, or added as nullable text. `encoding` is one
    of Python's, for sources without byte order mark that are not UTF-8.

    Raises ValueError for a declaration that contradicts itself.
    """

    name: str
    description: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    may_be_empty: bool = False
    day_column: str | None = None
    first_day: date | None = None
    marks_missing: bool = False
    max_rejected_share: float = 0.01
    new_columns: Literal["refuse", "report", "add"] = "report"
    encoding: str | None = None

    def __post_init__(self) -> None:
        named = (*self.primary_key, *([self.day_column] if self.day_column else []))
        nullable = [c.name for c in self.columns if c.nullable and c.name in self.primary_key]
        if nullable:
            raise ValueError(f"table {self.name}: {nullable[0]!r} is in the key, so not nullable")
        unknown = [name for name in named if name not in self.column_names]
        if unknown:
            raise ValueError(f"table {self.name} does not declare its column {unknown[0]!r}")
        if self.marks_missing and MISSING_SINCE in self.column_names:
            raise ValueError(f"table {self.name}: {MISSING_SINCE!r} is for the load to set")
        if not 0 <= self.max_rejected_share <= 1:
            raise ValueError(f"table {self.name}: max_rejected_share is not a share, 0 to 1")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.columns)


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

# Columns are the API's fields, flattened by elt.flattening.flatten().
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
