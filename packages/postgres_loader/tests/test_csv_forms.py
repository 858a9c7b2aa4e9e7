"""CSV files as tables declare them: signs, encodings, words for null, decimal commas."""

import contextlib
import csv
import dataclasses
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from fruit import FRUIT, query, tables
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from location_kit.postgres import PostgresResource

from postgres_loader import loading
from postgres_loader.errors import BadInput
from postgres_loader.loading import LoadResult, load
from postgres_loader.sources import CsvSource, open_table_source
from postgres_loader.tables import Column, Table

Load = Callable[..., LoadResult]
PRICES = Table(
    "fruit",
    "Fruit and prices.",
    ("id",),
    (
        Column("id", "bigint", ""),
        Column("name", "text", "", nullable=True),
        Column("price", "numeric(8,2)", "", nullable=True),
        Column("ratio", "double precision", "", nullable=True),
        Column("at", "date", "", nullable=True),
        Column("pieces", "integer", "", nullable=True),
    ),
    max_rejected_share=1.0,
    may_be_empty=True,
)
HEADER = "id;name;price;ratio;at;pieces\n"
COMMAS = dataclasses.replace(PRICES, delimiter=";", decimal_sign=",")
ALL = "SELECT id, name, price, ratio, at::text, pieces FROM raw.fruit ORDER BY id"


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are looked at one by one by none of the test's loads."""

    def slow(*_: Any) -> None:
        raise AssertionError("the load looks at each row")

    monkeypatch.setattr(loading, "stage_good_rows", slow)


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "utf-8"])
def test_all_at_once(warehouse: PostgresResource, load_file: Load, encoding: str) -> None:
    table = dataclasses.replace(
        COMMAS, quote="'", null_words=("", "NULL", "n/a", r"\N"), encoding=encoding
    )
    content = HEADER + (
        "1;'it''s; \"naïve\"';1234,56;-1,5e3;2026-01-31;5\n"
        "2;NULL;n/a;;\\N;NULL\n"
        "3;'NULL';'7,5';'n/a';'NULL';'\\N'\n"
        "\n"
        "4;'';0;NaN;;\n"
        "5;n/a twice;-,5;,5;2026-01-31;\n"
    )
    assert load_file("fruit.csv", content.encode(encoding), table).rows == 5
    assert query(warehouse, ALL.replace("ratio", "ratio::text")) == [
        (1, 'it\'s; "naïve"', Decimal("1234.56"), "-1500", "2026-01-31", 5),
        (2, None, None, None, None, None),
        (3, "NULL", Decimal("7.50"), None, None, None),
        (4, "", Decimal("0.00"), "NaN", None, None),
        (5, "n/a twice", Decimal("-0.50"), "0.5", "2026-01-31", None),
    ]
    assert not load_file("fruit.csv", content.encode(encoding), table).changed


@pytest.mark.usefixtures("fast")
def test_one_word_for_null_is_read_by_copy(warehouse: PostgresResource, load_file: Load) -> None:
    table = dataclasses.replace(PRICES, null_words=(r"\N",))
    content = b'id,name,price,ratio,at,pieces\n1,,\\N,1.5,\\N,\\N\n2,\\N,"\\N",1,2026-01-31,"\\N"\n'
    with open_table_source("f", io.BytesIO(content), "f.csv", table) as source:
        assert source.read() == content
    load_file("fruit.csv", content, table)
    assert query(warehouse, ALL) == [
        (1, "", None, 1.5, None, None),
        (2, None, None, 1.0, "2026-01-31", None),
    ]
    for word in ("it's", "a\\'b", "ä{}%s"):
        table = dataclasses.replace(PRICES, null_words=(word,))
        line = f"1,{word},{word},1,{word},{word}\n"
        load_file("fruit.csv", content.split(b"\n")[0] + b"\n" + line.encode(), table)
        assert query(warehouse, ALL) == [(1, None, None, 1.0, None, None)]


def test_numbers_that_are_none(warehouse: PostgresResource, load_file: Load) -> None:
    content = HEADER + "".join(
        f"{n};x;{value};1;;1\n" for n, value in enumerate(("1,5", "1.5", "1.234,56", "1,2,3", "x"))
    )
    content += "5;x;1234567,1;1;;1\n6;x;1;1;;1,5\n7;x;1;1.5;;1\n"
    result = load_file("fruit.csv", content.encode(), COMMAS)
    assert query(warehouse, ALL) == [(0, "x", Decimal("1.50"), 1.0, None, 1)]
    said = [(row.line, row.column, row.value) for row in result.rejected_rows]
    assert said == [
        (3, "price", "1.5"),
        (4, "price", "1.234,56"),
        (5, "price", "1,2,3"),
        (6, "price", "x"),
        (7, "price", "1234567,1"),
        (8, "pieces", "1,5"),
        (9, "ratio", "1.5"),
    ]
    reasons = [row.reason for row in result.rejected_rows]
    for number in (0, 1, 2, 3, 6):
        assert reasons[number].startswith("this is not a number such as 1234,56: the table declare")
    assert reasons[4].startswith("numeric field overflow")
    assert reasons[5] == 'invalid input syntax for type integer: "1,5"'
    assert '"price":"1.234,56"' in str(result.rejected_rows[1].record)
    # Without a declaration, a comma is what it was.
    plain = dataclasses.replace(COMMAS, decimal_sign=".", max_rejected_share=0)
    with pytest.raises(BadInput, match=r'column price: .*type numeric: "1,5"'):
        load_file("fruit.csv", f"{HEADER}0;x;1,5;1;;1\n1;x;1;1;;1\n".encode(), plain)


def test_a_number_is_a_key(warehouse: PostgresResource, load_file: Load) -> None:
    columns = (Column("id", "numeric", ""), *COMMAS.columns[1:])
    table = dataclasses.replace(COMMAS, columns=columns)
    load_file("fruit.csv", f"{HEADER}1,5;a;;;;\n2,5;b;;;;\n".encode(), table)
    result = load_file("fruit.csv", f"{HEADER}1,5;c;x;;;\n2.5;d;;;;\n3,5;e;;;;\n".encode(), table)
    assert (result.inserted, result.rejected, result.unidentified) == (1, 2, 1)
    found = query(warehouse, "SELECT id::text, name FROM raw.fruit ORDER BY id")
    assert found == [("1.5", "a"), ("2.5", "b"), ("3.5", "e")]
    # What becomes \. where commas become points would end a COPY.
    content = f"{HEADER}\\,;c;;;;\n4,5;e;;;;\n".encode()
    assert load_file("fruit.csv", content, table).rejected == 1


def test_other_formats_have_points(warehouse: PostgresResource, load_file: Load) -> None:
    table = dataclasses.replace(COMMAS, null_words=("", "NULL"))
    content = b'{"id": 1, "name": "NULL", "price": 1.5}\n{"id": 2, "price": "1,5"}\n'
    assert load_file("fruit.jsonl", content, table).rejected == 1
    assert query(warehouse, ALL)[0][:3] == (1, "NULL", Decimal("1.50"))


def test_another_quote_than_declared_is_named(load_file: Load) -> None:
    content = b"'id','name','weight_g','picked_at'\n'1','a','1',''\n"
    with pytest.raises(BadInput, match=r"""within other quotes: declare the table's quote="'"$"""):
        load_file("fruit.csv", content)
    other = dataclasses.replace(FRUIT, quote="'")
    with pytest.raises(BadInput, match=r"""other quotes: declare the table's quote='"'$"""):
        load_file("fruit.csv", content.replace(b"'", b'"'), other)
    load_file("fruit.csv", content, other)
    semicolons = content.replace(b",", b";")
    with pytest.raises(BadInput, match="separated by semicolons: declare the table's delimiter="):
        load_file("fruit.csv", semicolons, other)


def test_a_large_file_is_shared(
    warehouse: PostgresResource, load_file: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = dataclasses.replace(COMMAS, quote="'", null_words=("", "NULL"))
    line = ";'a\nb;c''d';1,25;NULL;2026-01-31;\n"
    content = HEADER + "".join(f"{n}{line}" for n in range(60_000))
    monkeypatch.setattr(loading, "stage_good_rows", None)
    assert load_file("fruit.csv", content.encode(), table).rows == 60_000
    found = query(warehouse, "SELECT DISTINCT name, price::text, ratio, pieces FROM raw.fruit")
    assert found == [("a\nb;c'd", "1.25", None, None)]
    assert tables(warehouse) == ["fruit"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("quote", "''", r"quote is \"''\": not one ASCII sign .* Fix: declare"),
        ("quote", "", "quote is ''"),
        ("quote", ",", "quote is ','"),
        ("quote", "x", "quote is 'x'"),
        ("quote", "\n", "quote is"),
        ("quote", "\\", "quote is"),
        ("quote", "«", "quote is"),
        ("delimiter", "||", r"delimiter is '\|\|': not one ASCII character .* Fix: declare one"),
        ("null_words", "NULL", r"null_words is 'NULL': not several texts. Fix: declare a tuple"),
        ("null_words", (), "null_words is empty: no field would be null. Fix: declare"),
        ("null_words", ("", "a,b"), "null_words has 'a,b': .* Fix: leave it out"),
        ("null_words", ('"NULL"',), "null_words has"),
        ("null_words", ("a\nb",), "null_words has"),
        ("null_words", (r"\.",), "null_words has"),
        ("null_words", (None,), "null_words is"),
        ("decimal_sign", ";", "decimal_sign is ';': neither point nor comma. Fix: declare one"),
        ("encoding", "cp1525", "encoding is 'cp1525': not a text encoding .* Fix: declare one"),
        ("encoding", "base64", "encoding is 'base64'"),
        ("encoding", "", "encoding is ''"),
        ("date_format", "YMD", "date_format is 'YMD': none of ISO, DMY, MDY. Fix: declare one"),
    ],
)
def test_what_cannot_be_declared(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^table fruit: {said}"):
        dataclasses.replace(FRUIT, **{field: value})


def test_signs_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match=r"quote is ';'.* or the delimiter"):
        dataclasses.replace(FRUIT, quote=";", delimiter=";")
    with pytest.raises(ValueError, match=r"decimal_sign is ',' and delimiter is '.'"):
        dataclasses.replace(FRUIT, decimal_sign=",", delimiter=".")


forms = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|", " "]),
        "quote": st.sampled_from(['"', "'"]),
        "null_words": st.lists(
            st.sampled_from(["", "NULL", "n.a", r"\N", "-", "NaN"]),
            min_size=1,
            max_size=3,
            unique=True,
        ).map(tuple),
        "decimal_sign": st.sampled_from([".", ","]),
    }
)
# Pieces of texts; Q and D stand for the declared quote and delimiter.
atoms = st.sampled_from(
    [*("QQ", "D", "\n", "\r\n", " ", ".", ",", "\\", "x", "é", "1", "-", "NULL", "n.a")]
)
texts = st.lists(atoms, max_size=5).map("".join)
wrong = st.sampled_from(["x", "1.2,3", "NQULLQ", "1Dx", "1.5", "1,5", "QQ", "NULL"])


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Any], list[list[str]]]:
    """How a file is written, and its records: mostly fine, as one bad row makes a load careful."""
    form = draw(forms)
    sign = form["decimal_sign"]
    numbers = st.sampled_from(["1", f"-1{sign}5", f"+2{sign}5", f"1{sign}5e3", f"{sign}5"])
    nulls = st.sampled_from(form["null_words"])

    def field(good: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        # Quoted where the sign is the delimiter as well; in a text, a quoted word is not null.
        value = (nulls | good | good).map(
            lambda text: f"Q{text}Q" if form["delimiter"] in text else text
        )
        return value | (nulls | good).map("Q{}Q".format)

    fine = st.tuples(
        st.tuples(texts).map(lambda text: f"Q{text[0]}Q") | nulls,
        field(numbers),
        field(numbers),
        field(st.sampled_from(["2026-01-31", "2026/1/2", " 2026-01-31 "])),
        field(st.sampled_from(["1", " 2"])),
    ).map(list)
    found = draw(st.lists(fine, min_size=3, max_size=8))
    if draw(st.integers(0, 2)) == 0:
        found[draw(st.integers(0, 2))][draw(st.integers(0, 4))] = draw(wrong)
    return form, found


@pytest.fixture
def connection(warehouse: PostgresResource) -> Any:
    with warehouse.get_connection() as connection:
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(file=files())
@example(
    (
        {"delimiter": ";", "quote": "'", "null_words": ("", "NULL"), "decimal_sign": ","},
        [["QaQQbQ", "1,5", "Q1,5Q", "NULL", "QNULLQ"]],
    )
)
@example(
    (
        {"delimiter": ",", "quote": '"', "null_words": (r"\N",), "decimal_sign": ","},
        [["", r"\N", r"Q\NQ", r"\N", "1"]],
    )
)
def test_a_look_at_each_row_finds_what_copy_does(
    connection: Any, file: tuple[dict[str, Any], list[list[str]]]
) -> None:
    """A row that is bad for certain makes the load look at each of the others."""
    form, written = file
    table = dataclasses.replace(PRICES, **form)
    delimiter, quote = form["delimiter"], form["quote"]
    lines = [delimiter.join(PRICES.column_names)]
    for number, values in enumerate(written):
        lines.append(delimiter.join([str(number), *values]))
    content = "\n".join(lines).replace("Q", quote).replace("D", delimiter)
    # Read from there on, no record would be whole; and what would end a COPY is refused.
    if content.count(quote) % 2 or "\n\\." in content:
        return
    # One row is good with every declaration: a load of none would be refused.
    good = delimiter.join(["1000", "x", "1", "1", "2026-01-31", "1"]) + "\n"
    careful = f"{content}\n{good}{delimiter.join(['no number'] + ['x'] * 5)}\n"

    def loaded(text: str) -> tuple[LoadResult, list[tuple[Any, ...]]]:
        def open_source() -> Any:
            return contextlib.nullcontext(CsvSource("f", io.BytesIO(text.encode()), table))

        result = load(connection, "raw", table, open_source, missing="keep")
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, name, price::text, ratio::text, at, pieces FROM raw.fruit")
            found = sorted(cursor.fetchall())
            cursor.execute("DROP TABLE raw.fruit")
        connection.commit()
        return result, found

    try:
        first, rows = loaded(f"{content}\n{good}")
    except BadInput as error:
        # Not a single row can be told; both ways say so.
        connection.rollback()
        with pytest.raises(BadInput, match=re.escape(str(error).partition(":")[0])):
            loaded(careful)
        connection.rollback()
        return
    second, again = loaded(careful)
    assert (again, second.rejected) == (rows, first.rejected + 1)


def test_the_header_is_read_as_declared() -> None:
    table = dataclasses.replace(FRUIT, quote="'", delimiter="|")
    content = io.StringIO()
    writer = csv.writer(content, delimiter="|", quotechar="'", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "na|me", "it's", *FRUIT.column_names[1:]])
    source = CsvSource("f", io.BytesIO(content.getvalue().encode()), table)
    assert source.undeclared == ("na|me", "it's")
