from dagster import asset

from northwind.warehouse import Files


@asset
def orders(files: Files) -> None:
    """Orders of the day."""
    files.write("orders", [{"product": "tea", "quantity": 3}])


@asset(deps=[orders])
def sold(files: Files) -> None:
    """Pieces sold."""
    files.write("sold", [sum(order["quantity"] for order in files.read("orders"))])
