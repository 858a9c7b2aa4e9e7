"""Which file belongs to which table and day, and in which parts they are loaded."""

from datetime import date

import pytest
from shop import CUSTOMERS, LANDING_TABLES, ORDERS, PRODUCTS

from postgres_loader.errors import LandingZoneError
from postgres_loader.landing_files import Extent, Part, classify, parts
from postgres_loader.sources import SUFFIXES

DAY = date(2025, 1, 31)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("stem", "extent"),
    [
        ("customers", Extent(CUSTOMERS, None)),
        ("products", Extent(PRODUCTS, None)),
        ("orders", Extent(ORDERS, None)),
        ("orders_2025-01-31", Extent(ORDERS, DAY)),
        ("orders_2025-01-31_north", Extent(ORDERS, DAY)),
        ("orders_2025-01-31_2025-02-01", Extent(ORDERS, DAY)),
        ("orders_2025-01-31_v1.2_é ß", Extent(ORDERS, DAY)),
        ("orders_2024-02-29", Extent(ORDERS, date(2024, 2, 29))),
    ],
)
def test_files_of_tables(stem: str, extent: Extent, suffix: str) -> None:
    assert classify(stem + suffix, LANDING_TABLES) == extent


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".csv",
        "orders",
        "orders.",
        "orders.txt",
        "orders.gz",
        "orders.csv.zip",
        "orders.csv.",
        "orders.parquet.gz",
        "Orders.csv",
        "orders.CSV",
        "xorders.csv",
        "orders .csv",
        "orders_.csv",
        "orders_north.csv",
        "orders_2025-01-31_.csv",
        "orders_2025-01-31north.csv",
        "orders-2025-01-31.csv",
        "orders_2025-1-31.csv",
        "orders_20250131.csv",
        "orders_2025-02-30.csv",
        "orders_2025-13-01.csv",
        "orders_0000-01-01.csv",
        "orders_9999-12-31.csv",
        "orders_٢٠٢٥-01-31.csv",
        "orders_2025-01-31_\n.csv",
        "orders_2025-01-31_\udc80.csv",
        "orders.csv\n",
        "customers_2025-01-31.csv",
        "users.csv",
        "orders/2025.csv",
    ],
)
def test_files_of_no_table(name: str) -> None:
    assert classify(name, LANDING_TABLES) is None


def test_a_table_whose_name_begins_with_another_s() -> None:
    names = ["orders_2025-01-31.csv", "orders.csv"]
    assert [classify(name, [CUSTOMERS]) for name in names] == [None, None]


def test_an_extent_is_told_by_its_label() -> None:
    assert Extent(ORDERS, None).label == "orders"
    assert Extent(ORDERS, DAY).label == "orders 2025-01-31"
    assert Extent(ORDERS, date(2024, 12, 31)).is_before_its_table
    assert not Extent(ORDERS, date(2025, 1, 1)).is_before_its_table
    assert not Extent(ORDERS, None).is_before_its_table
    assert not Extent(CUSTOMERS, None).is_before_its_table


NEIGHBOURS = ["customers.csv", "orders_2025-02-30.csv", "readme.txt"]


@pytest.mark.parametrize(
    ("names", "day", "expected"),
    [
        ([], None, []),
        ([], DAY, []),
        (["orders.parquet"], None, [Part(("orders.parquet",), whole=("orders.parquet",))]),
        (["orders.csv"], DAY, [Part(("orders.csv",), DAY, whole=("orders.csv",))]),
        (["orders_2025-01-30.csv"], DAY, []),
        (
            ["orders.csv", "orders_2025-01-31_b.csv.gz", "orders_2025-01-31.csv"],
            DAY,
            [
                Part(
                    ("orders_2025-01-31.csv", "orders_2025-01-31_b.csv.gz"),
                    DAY,
                    one_day=True,
                    whole=("orders.csv",),
                )
            ],
        ),
        (
            ["orders_2025-01-31.csv"],
            None,
            [Part(("orders_2025-01-31.csv",), DAY, one_day=True)],
        ),
    ],
)
def test_parts(names: list[str], day: date | None, expected: list[Part]) -> None:
    assert parts(ORDERS, [*NEIGHBOURS, *names], day) == expected


def test_a_whole_table_comes_from_both_kinds_without_overlap() -> None:
    names = ["orders.csv", *(f"orders_2025-01-{day}.csv" for day in ("31", "05", "04"))]
    first, *others = parts(ORDERS, names)
    days = (date(2025, 1, 4), date(2025, 1, 5), date(2025, 1, 31))
    assert (first.files, first.day, first.own_days) == (("orders.csv",), None, days)
    assert [(part.files[0], part.day, part.one_day) for part in others] == [
        (f"orders_{day}.csv", day, True) for day in days
    ]


@pytest.mark.parametrize("day", [None, DAY])
def test_two_files_of_a_whole_table_are_named(day: date | None) -> None:
    names = ["orders.csv", "orders.parquet", "orders_2025-01-31.csv"]
    with pytest.raises(LandingZoneError, match=r"orders\.csv and orders\.parquet: which") as caught:
        parts(ORDERS, names, day)
    assert caught.value.details == {"files": "orders.csv, orders.parquet"}
