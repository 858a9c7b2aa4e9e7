import dagster as dg


@dg.asset(group_name="tables")
def customers_table() -> None: ...


@dg.asset(group_name="tables")
def orders_table() -> None: ...


@dg.asset(group_name="tables")
def products_table() -> None: ...
