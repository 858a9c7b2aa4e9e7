from functools import partial

from postgres_loader import table_asset

from elt.tables import CUSTOMERS, LANDING_TABLES, ORDERS, PRODUCTS

landing_asset = partial(table_asset, owners=["team:elt"], tables=LANDING_TABLES)

customers_table = landing_asset(CUSTOMERS)
orders_table = landing_asset(ORDERS)
products_table = landing_asset(PRODUCTS)
