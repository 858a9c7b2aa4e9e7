"""The tables of __name__, declared once: the DDL, the checks of a load and the UI's docs follow."""

from postgres_loader import Column, Table

# An example to put your own tables in the place of.
ITEMS = Table(
    name="__name___items",
    description="Items, one row per item.",
    primary_key=("item_id",),
    columns=(
        Column("item_id", "bigint", "Identifies the item."),
        Column("name", "text", "Name in the catalogue."),
        Column("price_cents", "integer", "List price, in euro cents.", nullable=True),
    ),
)

# What the landing zone has files of.
LANDING_TABLES = (ITEMS,)
