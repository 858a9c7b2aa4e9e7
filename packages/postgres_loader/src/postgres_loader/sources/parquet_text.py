"""DuckDB's expressions for values of a Parquet file as the texts that PostgreSQL reads."""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from postgres_loader.sources.base import EXACT_BELOW, INTEGER_TYPES

if TYPE_CHECKING:
    import duckdb

_ESCAPES = (("'\\'", r"'\\'"), ("chr(9)", r"'\t'"), ("chr(10)", r"'\n'"), ("chr(13)", r"'\r'"))
# How the names of types begin whose texts have no character that COPY's text format escapes.
_PLAIN = (
    *("BOOLEAN", "DATE", "TIME", "UUID", "DECIMAL", "FLOAT", "DOUBLE", '"NULL"'),
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)
_NESTED = ("STRUCT(", "MAP(")
# As an interval is spelled; PostgreSQL knows nothing below microseconds.
_UNITS = {
    "SECOND": "{} || ' seconds'",
    "MILLI": "{} || ' milliseconds'",
    "MICRO": "{} || ' microseconds'",
    "NANO": "({} // 1000) || ' microseconds'",
}


def text(column: str, type_: str, declared: str | None, unit: str | None) -> str:
    """A column of DuckDB's `type_` as a string, for a column of PostgreSQL's `declared` type:
    numbers in full, times with a zone in UTC, binary ones as bytea is spelled, nested ones as JSON.

    `unit` is that of a number which is a duration. For integers, whole numbers are written as such,
    12, not 12.000 or 1.2e+10: other tools keep integers with nulls as floats, and keys as decimals.
    What has a fraction, or is beyond the integers that a double holds exactly, stays as it is, for
    PostgreSQL to refuse.
    """
    plain = f"CAST({column} AS VARCHAR)"
    if type_.startswith(_NESTED) or type_.endswith("]"):
        return f"CAST(to_json({column}) AS VARCHAR)"
    if type_ == "BLOB":
        return rf"'\x' || lower(hex({column}))"
    if unit and declared == "interval" and type_ == "BIGINT":
        return _UNITS[unit].format(column)
    if declared in INTEGER_TYPES:
        if type_.startswith("DECIMAL"):
            return rf"regexp_replace({plain}, '\.0+$', '')"
        if type_ in ("FLOAT", "DOUBLE"):
            return (
                f"CASE WHEN trunc({column}) = {column} AND abs({column}) < {EXACT_BELOW} "
                f"THEN CAST(TRY_CAST({column} AS BIGINT) AS VARCHAR) ELSE {plain} END"
            )
    return plain


def copy_field(text: str, type_: str, pattern: str | None, otherwise: str) -> str:
    """The text as a field of COPY's text format.

    With a `pattern`, a string that does not match it is an error, which says `otherwise`.
    """
    if type_.startswith(_PLAIN):
        return text
    field = text
    for character, escape in _ESCAPES:
        field = f"replace({field}, {character}, {escape})"
    if pattern is None or type_ != "VARCHAR":
        return field
    matches = f"{text} IS NULL OR regexp_matches({text}, {literal(pattern)})"
    return f"CASE WHEN {matches} THEN {field} ELSE error({literal(otherwise)}) END"


def durations(database: "duckdb.DuckDBPyConnection", path: str) -> Mapping[str, str]:
    """The unit of each column that is a duration. Parquet has none: Arrow's writers store numbers,
    and beside them Arrow's own schema, which says what they are."""
    statement = f"SELECT value FROM parquet_kv_metadata('{path}') WHERE key = 'ARROW:schema'"
    found = database.execute(statement).fetchone()
    if not found:
        return {}
    from nanoarrow import ArrayStream
    from nanoarrow.ipc import InputStream

    stream = io.BytesIO(base64.b64decode(found[0]))
    schema = ArrayStream(InputStream.from_readable(stream)).schema
    return {f.name: f.unit.name for f in schema.fields if f.type.name == "DURATION"}


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string."""
    return "'" + value.replace("'", "''") + "'"
