"""Arrow's arrays as the texts that PostgreSQL reads; apart, since pyarrow is slow to import."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_ESCAPES = (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r"))


class UnsupportedType(Exception):
    """There is no text for a column's type."""

    def __init__(self, column: str, type_: pa.DataType) -> None:
        super().__init__(f"column {column!r} has the type {type_}, which cannot be loaded")
        self.column = column


def as_text(name: str, array: pa.Array) -> pa.Array:
    """The values as strings: numbers in full, times with a zone in UTC, binary ones as bytea is
    spelled, nested ones as JSON. Raises UnsupportedType."""
    if isinstance(array, pa.ExtensionArray):
        return _each(array, str)
    kind = array.type
    if pt.is_dictionary(kind):
        return as_text(name, array.dictionary_decode())
    if pt.is_nested(kind):
        return _each(array, lambda value: json.dumps(_plain(value), ensure_ascii=False))
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind):
        return _each(array, lambda value: f"\\x{value.hex()}")
    if pt.is_duration(kind):
        # As an interval is read; there are units down to microseconds only.
        microseconds = array.cast(pa.duration("us"), safe=False).cast(pa.int64())
        return pc.binary_join_element_wise(
            microseconds.cast(pa.large_string()), _string("microseconds"), _string(" ")
        )
    if pt.is_timestamp(kind) and kind.tz:
        array = array.cast(pa.timestamp(kind.unit, "UTC"))
    if pt.is_float16(kind):
        array = array.cast(pa.float32())
    try:
        return array.cast(pa.large_string(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UnsupportedType(name, kind) from None


def whole_numbers(array: pa.Array, text: pa.Array) -> pa.Array:
    """The texts, with whole numbers as integers are written: 12, not 12.000 or 1.2e+10.

    Other tools keep integers with nulls as floats, and keys as decimals. What has a fraction, or
    is beyond the integers that a double holds exactly, stays as it is, for PostgreSQL to refuse.
    """
    if pt.is_decimal(array.type):
        return pc.replace_substring_regex(text, r"\.0+$", "")
    if not pt.is_floating(array.type):
        return text
    values = array.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.trunc(values), values), pc.less(pc.abs(values), 2.0**53))
    integers = pc.if_else(whole, values, None).cast(pa.int64())
    return pc.coalesce(integers.cast(pa.large_string()), text)


def needs_escapes(kind: pa.DataType) -> bool:
    """Whether texts of that type may have characters that COPY's text format escapes."""
    plain = (pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_decimal, pt.is_temporal)
    return not any(is_kind(kind) for is_kind in plain)


def all_match(texts: pa.Array, pattern: str) -> bool:
    """Whether every text, nulls aside, is one that the pattern matches from end to end."""
    found = pc.match_substring_regex(texts, rf"^\s*(?:{pattern})\s*$")
    return pc.all(found, min_count=0).as_py() is not False


def copy_lines(texts: list[pa.Array], escaped: list[bool]) -> bytes:
    """Rows in COPY's text format, from the texts of their columns, and which need escapes."""
    fields = []
    for text, needed in zip(texts, escaped, strict=True):
        for character, escape in _ESCAPES if needed else ():
            text = pc.replace_substring(text, character, escape)
        fields.append(text)
    null = {"null_handling": "replace", "null_replacement": r"\N"}
    rows = pc.binary_join_element_wise(*fields, _string("\t"), **null)
    ended = pc.binary_join_element_wise(rows, _string(""), _string("\n"))
    # Strings lie one after another in Arrow's memory: that is the stream already.
    size = pc.sum(pc.binary_length(ended)).as_py()
    return bytes(ended.buffers()[2][:size])


def _string(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _each(array: pa.Array, text: Any) -> pa.Array:
    values = (None if value is None else text(value) for value in array.to_pylist())
    return pa.array(values, pa.large_string())


def _plain(value: Any) -> Any:
    """What JSON can hold of a nested value: numbers stay numbers, all else becomes a string."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
