from dagster import materialize

from northwind.sales.assets import orders, sold
from northwind.stock.assets import stock
from northwind.warehouse import Files


def test_what_is_left(tmp_path):
    files = Files(folder=str(tmp_path))
    assert materialize([orders, sold, stock], resources={"files": files}).success
    assert files.read("stock") == [{"product": "tea", "left": 7}]
