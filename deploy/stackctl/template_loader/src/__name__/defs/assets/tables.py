from postgres_loader import table_asset

from __name__.tables import ITEMS, LANDING_TABLES

items_table = table_asset(ITEMS, owners=["team:__name__"], tables=LANDING_TABLES, schema="__name__")
