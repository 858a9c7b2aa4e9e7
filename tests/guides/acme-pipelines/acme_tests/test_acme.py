from datetime import datetime
from pathlib import Path

import pytest
from acme import defs
from acme.assets import catalog, orders, reorder, revenue
from acme.money import total_cents
from acme.resources import ShopApi, Warehouse
from dagster import build_schedule_context, materialize

LINES = [{"quantity": 2, "price_cents": 150}, {"quantity": 1, "price_cents": 5}]
ANSWERS = {
    "products": [
        {"available": True, "stock": 3, "price_cents": 150},
        {"available": False, "stock": 0, "price_cents": 5},
    ],
    "suppliers": [{"name": "one"}],
    "orders/2026-01-02": LINES,
}


class Shop(ShopApi):
    def get(self, path: str) -> list[dict]:
        return ANSWERS[path]


@pytest.fixture
def resources(tmp_path: Path) -> dict:
    return {"shop": Shop(url="", token=""), "warehouse": Warehouse(path=str(tmp_path))}


def test_total():
    assert total_cents(LINES) == 305


def test_revenue_of_a_day(resources):
    assets = [catalog, orders, revenue]
    result = materialize(assets, partition_key="2026-01-02", resources=resources)
    assert result.success
    assert resources["warehouse"].read("revenue/2026-01-02") == [{"revenue_cents": 305}]


def test_what_runs_out(resources):
    assert materialize([catalog, reorder], resources=resources).success
    assert len(resources["warehouse"].read("reorder")) == 1


def test_the_schedule_asks_for_the_day_before():
    schedule = defs.get_schedule_def("daily_sales_job_schedule")
    context = build_schedule_context(
        repository_def=defs.get_repository_def(), scheduled_execution_time=datetime(2026, 1, 3, 3)
    )
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == "2026-01-02"
