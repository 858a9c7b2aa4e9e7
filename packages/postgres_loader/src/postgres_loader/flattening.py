"""Objects within objects into one row of columns, by the rule of docs/users-api.md."""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from postgres_loader.errors import BadInput
from postgres_loader.tables import MISSING_SINCE, Table

MAX_DEPTH = 32
INTEGERS = frozenset({"smallint", "integer", "bigint"})
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


class FlatRecords(Sequence[Mapping[str, Any]]):
    """Records, each flattened when it is asked for, so that they are in memory once.

    A whole number written as 1.0 is 1 in a column of an integer type, as JSON knows one kind of
    number. Null in place of an object is null for each of its columns, as far as they are declared.
    Raises BadInput, which names the record by its number from 1, for one that cannot be flattened.
    """

    def __init__(self, uri: str, records: Sequence[Mapping[str, Any]], table: Table) -> None:
        self._uri = uri
        self._records = records
        self._columns = table.column_names
        self._integers = [column.name for column in table.columns if column.type in INTEGERS]
        self._taken = MISSING_SINCE if table.marks_missing and table.new_columns == "add" else None

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        numbers = range(len(self._records))[index]
        if isinstance(numbers, range):
            return [self._flat(number) for number in numbers]
        return self._flat(numbers)

    def _flat(self, number: int) -> Mapping[str, Any]:
        try:
            flat = flatten(self._records[number])
            if self._taken in flat:
                raise FieldError(f"column {self._taken!r} is for the load to set", self._taken)
        except FieldError as error:
            raise BadInput(self._uri, str(error), record=number + 1, column=error.column) from None
        for name in self._integers:
            value = flat.get(name)
            if isinstance(value, float) and value.is_integer():
                flat[name] = int(value)
        for name in [name for name, value in flat.items() if value is None]:
            inner = [column for column in self._columns if column.startswith(f"{name}_")]
            if inner and name not in self._columns:
                flat = dict.fromkeys(inner) | flat
                del flat[name]
        return flat


def drift(records: FlatRecords, table: Table) -> Drift:
    """How records differ from what the table declares."""
    declared = set(table.column_names)
    undeclared: set[str] = set()
    missing = dict.fromkeys(table.column_names, 0)
    for record in records:
        undeclared |= record.keys() - declared
        for name in declared - record.keys():
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
