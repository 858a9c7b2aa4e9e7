from dagster import asset

from .crm import contacts


@asset(group_name="web", deps=[contacts])
def visits() -> None:
    """Visits of the web site, by contact."""
