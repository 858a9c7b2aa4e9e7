from dagster import asset

from northwind.warehouse import Files


@asset(deps=["sold"])
def stock(files: Files) -> None:
    """What is left of each product."""
    files.write("stock", [{"product": "tea", "left": 10 - files.read("sold")[0]}])
