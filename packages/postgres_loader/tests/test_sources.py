"""What of a CSV file can be judged without a database: its header, and its bytes."""

import codecs
import io
from functools import partial

import pytest

from postgres_loader.errors import BadInput
from postgres_loader.sources import CsvSource, RecordSource
from postgres_loader.sources.csv_file import HEADER_LIMIT_BYTES
from postgres_loader.tables import Column, Table

FRUIT = Table(
    "fruit",
    "Fruit.",
    ("id",),
    (Column("id", "bigint", ""), Column("name", "text", "", nullable=True)),
)


def csv_source(content: bytes) -> CsvSource:
    return CsvSource("file:///fruit.csv", io.BytesIO(content), FRUIT)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (b"id,name\n1,fig\n", ("id", "name")),
        (b"name,id\r\nfig,1\r\n", ("name", "id")),
        (codecs.BOM_UTF8 + b'"id",name\n1,fig\n', ("id", "name")),
        (b"id,name\n", ("id", "name")),
        (b"id,name", ("id", "name")),
    ],
)
def test_headers(content: bytes, columns: tuple[str, ...]) -> None:
    source = csv_source(content)
    assert source.columns == columns
    assert b"".join(iter(lambda: source.read(4), b"")) == content.removeprefix(codecs.BOM_UTF8)
    assert source.bytes_read == len(content)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"id\n1\n", "line 1, column name: column 'name' is missing; the header is 'id'"),
        (b"\n1,fig\n", "line 1, column id: column 'id', 'name' is missing"),
        (b"id,name,id\n", "line 1, column id: column 'id' is there twice"),
        (b"id;name\n", "column 'id', 'name' is missing; the header is 'id;name'"),
        (b'"id,name\n1,fig\n', "line 1: the header cannot be read"),
        ("id,naïve\n".encode("latin-1"), "line 1: the file is not UTF-8"),
        ("id,name\n".encode("utf-16-le"), "line 1: the header has NUL bytes; UTF-16 needs"),
        (b"x" * HEADER_LIMIT_BYTES * 2, "line 1: no header line within the first"),
    ],
)
def test_bad_headers(content: bytes, complaint: str) -> None:
    with pytest.raises(BadInput) as caught:
        csv_source(content)
    assert str(caught.value).startswith("file:///fruit.csv")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("content", [b"id,name\n\\.\n2,fig\n", b"id,name\r\n1,fig\r\n\\.\r\n"])
def test_an_end_of_data_mark_never_ends_the_data_early(content: bytes, size: int) -> None:
    source = csv_source(content)
    with pytest.raises(BadInput, match=r"begins with \\\."):
        while source.read(size):
            pass
    assert isinstance(source.failure, BadInput)


def test_records() -> None:
    records = [{"id": 1, "name": "a\tb\nc\\d\r", "more": 1}, {"name": ""}, {"id": 3, "name": [1]}]
    source = RecordSource("http://api", records, FRUIT)
    assert source.read() == b"1\ta\\tb\\nc\\\\d\\r\n\\N\t\n3\t[1]\n"
    assert str(source.bad_input("bad", 2, "id", "x")) == "http://api, record 2, column id: bad"


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("newline", [b"\n", b"\r"])
def test_what_would_end_a_copy_is_seen_across_chunks(before: int, newline: bytes) -> None:
    def read(marker: bytes) -> bytes:
        rows = b"id,name\n1,".ljust(HEADER_LIMIT_BYTES - before, b"x")
        source = csv_source(rows + marker + b"\n2,y\n")
        return b"".join(iter(partial(source.read, 1), b""))

    with pytest.raises(BadInput, match=r"a line begins with \\\."):
        read(newline + b"\\.")
    assert read(b"\\.").endswith(b"x\\.\n2,y\n")
    assert read(newline + b"\\N").endswith(b"\\N\n2,y\n")
