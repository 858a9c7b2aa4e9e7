"""Columns that a source has and the table has not, and as many as there can be."""

import dataclasses
import json
from collections.abc import Callable

import pyarrow as pa
import pytest
from fruit import FRUIT, OLD, OLD_ROWS, parquet, query, rows
from location_kit.postgres import PostgresResource

from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult
from postgres_loader.reporting import load_metadata
from postgres_loader.tables import Column, Table

LoadFile = Callable[..., LoadResult]
ADDING = dataclasses.replace(FRUIT, new_columns="add")
REFUSING = dataclasses.replace(FRUIT, new_columns="refuse")
FIVE = {
    "csv": b"id,name,weight_g,picked_at,origin,x y\n1,apple,150,,PL,\n2,fig,30,,,5\n",
    "jsonl": b'{"id":1,"name":"apple","weight_g":150,"origin":"PL"}\n'
    b'{"id":2,"name":"fig","weight_g":30,"x y":5}\n',
    "parquet": parquet(
        {
            "id": [1, 2],
            "name": ["apple", "fig"],
            "weight_g": [150, 30],
            "picked_at": pa.nulls(2),
            "origin": ["PL", None],
            "x y": [None, 5],
        }
    ),
}


@pytest.mark.parametrize("suffix", FIVE)
def test_new_columns(warehouse: PostgresResource, load_file: LoadFile, suffix: str) -> None:
    name, content = f"fruit.{suffix}", FIVE[suffix]
    with pytest.raises(BadInput, match=r"column 'origin'.* is unknown"):
        load_file(name, content, REFUSING)
    for _ in range(2):  # once directly, once merged
        result = load_file(name, content)
        assert (result.undeclared, result.added_columns) == (("origin", "x y"), ())
        assert rows(warehouse) == OLD_ROWS
    added = load_file(name, content, ADDING)
    assert added.added_columns == ("origin", "x y")
    assert added.updated == 2
    statement = 'SELECT origin, "x y" FROM raw.fruit ORDER BY id'
    assert query(warehouse, statement) == [("PL", None), (None, "5")]
    assert load_file(name, content, ADDING).changed is False
    # They stay, whatever is declared or comes later.
    assert load_file("fruit.csv", OLD, ADDING).added_columns == ()
    assert load_file(name, content).added_columns == ()
    assert query(warehouse, statement) == [("PL", None), (None, "5")]


@pytest.mark.parametrize("suffix", FIVE)
def test_new_columns_of_a_new_table_with_bad_rows(
    warehouse: PostgresResource, load_file: LoadFile, suffix: str
) -> None:
    narrow = dataclasses.replace(ADDING, columns=FRUIT.columns[:2], max_rejected_share=0.5)
    bad = dataclasses.replace(narrow, columns=(FRUIT.columns[0], Column("name", "integer", "")))
    with pytest.raises(BadInput, match="first of 2 bad rows among 2"):
        load_file(f"fruit.{suffix}", FIVE[suffix], bad)
    load_file(f"fruit.{suffix}", FIVE[suffix], narrow)
    assert query(warehouse, 'SELECT weight_g, "x y" FROM raw.fruit ORDER BY id') == [
        ("150", None),
        ("30", "5"),
    ]


def test_names_that_no_column_can_have(load_file: LoadFile) -> None:
    content = f"id,name,weight_g,picked_at,{'x' * 64}\n1,a,1,,5\n".encode()
    assert load_file("fruit.csv", content).undeclared == ("x" * 64,)
    with pytest.raises(BadInput, match="no column can be added under the name"):
        load_file("fruit.csv", content, ADDING)


@pytest.mark.parametrize("name", ["", "  ", '""'])
def test_a_column_without_a_name_is_called_by_its_place(
    load_file: LoadFile, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    content = f"id,name,{name},weight_g,picked_at\n1,a,5,1,\n".encode()
    result = load_file("fruit.csv", content)
    assert result.undeclared == ("column 3 (no name)",)
    load_metadata(FRUIT, result, 1)
    assert "does not declare were left out: column 3 (no name)" in caplog.text
    for new_columns in ("add", "refuse"):
        table = dataclasses.replace(FRUIT, new_columns=new_columns)
        with pytest.raises(BadInput, match=r"line 1: column 3 has no name; the header is 'id,name"):
            load_file("fruit.csv", content, table)


def test_commas_at_the_end_of_each_line(load_file: LoadFile) -> None:
    content = b"id,name,weight_g,picked_at,,\n1,a,5,,,\n"
    found = load_file("fruit.csv", content).undeclared
    assert found == ("column 5 (no name)", "column 6 (no name)")
    with pytest.raises(BadInput, match="line 1: columns 5, 6 have no name"):
        load_file("fruit.csv", content, ADDING)


def test_a_column_twice(load_file: LoadFile) -> None:
    content = b"id,name,weight_g,picked_at,name,\n1,a,5,,b,\n"
    complaint = "line 1, column name: column 'name' is there twice; the header is 'id,name,"
    with pytest.raises(BadInput, match=complaint):
        load_file("fruit.csv", content)


def test_a_field_without_a_name_is_shown_as_such(
    load_file: LoadFile, caplog: pytest.LogCaptureFixture
) -> None:
    result = load_file("fruit.jsonl", b'{"id": 1, "name": "a", "": 5, " ": 6}')
    load_metadata(FRUIT, result, 1)
    assert 'were left out: "", " "' in caplog.text


def test_thousands_of_columns(warehouse: PostgresResource, load_file: LoadFile) -> None:
    names = [f"c{n}" for n in range(1499)]
    wide = Table(
        "fruit",
        "Wide.",
        ("id",),
        (Column("id", "bigint", ""), *(Column(n, "integer", "", nullable=True) for n in names)),
        max_rejected_share=0.5,
    )
    header = f"id,{','.join(names)}\n"
    line = ",".join(str(n % 10) for n in range(1499))
    for content in (f"{header}1,{line}\n", f"{header}1,{line}\n2,{line[:-1]}x\n"):
        load_file("fruit.csv", content.encode(), wide)
        assert query(warehouse, "SELECT c1, c1498 FROM raw.fruit") == [(1, 8)]
    load_file("fruit.csv", f"{header}1,{line[:-1]}5\n".encode(), wide)
    assert query(warehouse, "SELECT c1, c1498 FROM raw.fruit") == [(1, 5)]
    more = f"id,{','.join(names)},d\n1,{line},1\n".encode()
    with pytest.raises(BadInput, match="there are 1501 columns; no more than 1500"):
        load_file("fruit.csv", more, wide)
    objects = "".join(json.dumps({"id": n, "name": "x", f"k{n}": 1}) + "\n" for n in range(1600))
    with pytest.raises(BadInput, match="there are 1501 columns"):
        load_file("fruit.jsonl", objects.encode())
