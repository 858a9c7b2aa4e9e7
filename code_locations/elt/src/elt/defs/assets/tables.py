from postgres_loader import table_asset

from elt.tables import CUSTOMERS, ORDERS, PRODUCTS

customers_table = table_asset(CUSTOMERS, owners=["team:elt"])
orders_table = table_asset(ORDERS, owners=["team:elt"])
products_table = table_asset(PRODUCTS, owners=["team:elt"])
