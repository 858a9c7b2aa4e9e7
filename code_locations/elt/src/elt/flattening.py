"""Objects within objects into one row of columns, by the rule of docs/users-api.md."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elt.errors import BadInput
from elt.tables import Table

MAX_DEPTH = 32
# Before a capital that begins a word: catch|Phrase, user|ID, HTTP|Code.
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_A_NAME = re.compile(r"\W+")


@dataclass(frozen=True)
class Drift:
    """How records differ from the declared columns.

    `undeclared` columns are in a record, but not in the table; `missing` ones are in the table,
    but not in the given number of records.
    """

    undeclared: tuple[str, ...]
    missing: Mapping[str, int]


class FieldError(ValueError):
    """A record that cannot be flattened, because of one field."""

    def __init__(self, reason: str, column: str) -> None:
        super().__init__(reason)
        self.column = column


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """One level from many: `{"geo": {"latDeg": 1}}` becomes `{"geo_lat_deg": 1}`.

    A list becomes its JSON text. Raises FieldError when two fields have the same column, or for
    objects within more than `MAX_DEPTH` objects.
    """
    flat: dict[str, Any] = {}
    paths: dict[str, str] = {}
    for path, value in _leaves(record, ()):
        column, field = "_".join(map(column_name, path)), ".".join(path)
        if column in flat:
            reason = f"fields {paths[column]!r} and {field!r} would both be column {column!r}"
            raise FieldError(reason, column)
        flat[column], paths[column] = value, field
    return flat


def flattened(uri: str, records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each record flattened. Raises BadInput, which names the record, for one that cannot be."""
    for number, record in enumerate(records, start=1):
        try:
            yield flatten(record)
        except FieldError as error:
            raise BadInput(uri, str(error), record=number, column=error.column) from None


def drift(flat_records: Iterable[Mapping[str, Any]], table: Table) -> Drift:
    """How flattened records differ from what the table declares."""
    declared = set(table.column_names)
    undeclared: set[str] = set()
    missing = dict.fromkeys(table.column_names, 0)
    for record in flat_records:
        unknown = record.keys() - declared
        # Null in place of an object is null for each of its columns.
        empty = {name for name in unknown if record[name] is None}
        prefixes = tuple(f"{name}_" for name in empty if _is_prefix(name, declared))
        undeclared |= {name for name in unknown if f"{name}_" not in prefixes}
        for name in declared - record.keys():
            if not name.startswith(prefixes):
                missing[name] += 1
    return Drift(
        tuple(sorted(undeclared)), {name: count for name, count in missing.items() if count}
    )


@functools.lru_cache(maxsize=4096)
def column_name(field: str) -> str:
    """The field's name as a column's: in snake_case, without what is not letter or digit."""
    return _NOT_A_NAME.sub("_", _WORD.sub("_", field)).lower() or "_"


def _leaves(record: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    if len(path) > MAX_DEPTH:
        column = column_name(path[0])
        raise FieldError(f"objects within objects, more than {MAX_DEPTH} levels deep", column)
    for field, value in record.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, field))
        elif isinstance(value, list):
            yield (*path, field), json.dumps(value, ensure_ascii=False)
        else:
            yield (*path, field), value


def _is_prefix(name: str, columns: Iterable[str]) -> bool:
    return any(column.startswith(f"{name}_") for column in columns)
