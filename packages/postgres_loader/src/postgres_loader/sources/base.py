"""What a load needs to know of a source, and what the sources share."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from postgres_loader.errors import BadInput
from postgres_loader.sources.streams import CHUNK_BYTES
from postgres_loader.tables import Table

# PostgreSQL's own limit is 1,600, of which dropped columns keep their part for ever.
MAX_COLUMNS = 1500
# PostgreSQL cuts longer names off.
MAX_NAME_BYTES = 63
_REAL = re.compile("[.eE]")
# The stream's column for what JSON objects have beside the declared fields.
MORE = "__more"


class Row(NamedTuple):
    """A row as texts, in the order of the source's columns; null is None.

    `line` counts from 1, in lines of a file or in records.
    """

    line: int
    values: Sequence[str | None]


class BadRow(NamedTuple):
    """What is in a row's place but is none; `text` is the row as far as it can be read."""

    line: int
    reason: str
    text: str


class RowError(BadInput):
    """One row cannot be read; the others may be fine."""


class Stream(Protocol):
    """What COPY reads from."""

    def read(self, size: int = -1, /) -> bytes: ...


class CopySource(Stream, Protocol):
    """Rows, either as a stream for COPY, or one by one with their places: not both.

    Attributes:
        uri: where the rows come from, for readers of messages.
        columns: names of the columns, in the order of the stream. Declared ones, `extra` ones,
            and for what is not wanted, names that begin with two underscores.
        extra: those of the columns that are not declared and are to be added to the table.
        undeclared: names of all that was met so far and is not declared.
        copy_options: COPY's options for the stream's format.
        rest_options: the same for a part of the stream that is not its beginning.
        newline: what ends a record.
        quote: what opens and closes a quotation, in which newlines end nothing; may be empty.
        bytes_read: size of what was read so far, as it is stored, headers included.
        size: the same of all there is; None where that is not known.
        decimal_commas: names of the columns in whose texts of `rows()` numbers have a comma.
        failure: the exception that ended `read()`, which the database driver does not pass on.
    """

    uri: str
    columns: tuple[str, ...]
    extra: tuple[str, ...]
    newline: bytes
    quote: bytes
    size: int | None
    decimal_commas: tuple[str, ...]
    failure: Exception | None

    @property
    def copy_options(self) -> str: ...

    @property
    def rest_options(self) -> str: ...

    @property
    def bytes_read(self) -> int: ...

    @property
    def undeclared(self) -> tuple[str, ...]: ...

    def rows(self) -> Iterator[Row | BadRow]:
        """The rows, checked for nothing but their form. Raises BadInput."""

    def verify(self) -> None:
        """To be called at the end: raises BadInput when the source changed meanwhile."""

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        """The error for the given line of the source, which counts from 1."""


class TextSource:
    """Base of sources that make the lines of COPY's text format themselves."""

    copy_options = rest_options = "FORMAT text"
    newline = b"\n"
    quote = b""
    extra: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    size: int | None = None
    decimal_commas: tuple[str, ...] = ()

    def __init__(self, uri: str, verify: Callable[[], None] | None = None) -> None:
        self.uri = uri
        self.failure: Exception | None = None
        self._verify = verify
        self._chunks: Iterator[bytes] | None = None

    def read(self, size: int = -1, /) -> bytes:
        """A chunk of about any size: COPY takes what it gets."""
        try:
            if self._chunks is None:
                self._chunks = self.chunks()
            return next(self._chunks, b"")
        except Exception as error:
            self.failure = error
            raise

    def chunks(self) -> Iterator[bytes]:
        """The stream, in pieces that are worth a call and fit in memory, none of them empty."""
        raise NotImplementedError

    def verify(self) -> None:
        if self._verify:
            self._verify()

    def bad_input(
        self, reason: str, line: int | None, column: str | None, value: str | None
    ) -> BadInput:
        return BadInput(self.uri, reason, record=line, column=column, value=value)


def refuse_new(uri: str, table: Table, names: Sequence[str], line: int | None = None) -> None:
    """Raises BadInput when there are undeclared names, and the table refuses such."""
    if names and table.new_columns == "refuse":
        named = f"column {', '.join(map(repr, names))} is unknown"
        raise BadInput(uri, named, line=line, column=names[0])


def undeclared(
    uri: str, table: Table, found: Iterable[str], line: int | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the names found, those that the table does not declare, and those that it is to get.

    Raises BadInput when the table refuses such, or no column can be given that name.
    """
    declared = set(table.column_names)
    new = tuple(name for name in found if name not in declared)
    refuse_new(uri, table, new, line)
    if table.new_columns != "add":
        return new, ()
    check_added(uri, new)
    return new, new


INTEGER_TYPES = ("smallint", "integer", "bigint")
# Above, a double no longer tells an integer from the next one.
EXACT_BELOW = 2**53


def as_integer(number: str) -> str:
    """A JSON number as integers are written, if it is whole: `1.0` and `1e2` are 1 and 100.

    Any other stays as it is, for PostgreSQL to refuse, and so does what a double cannot hold
    exactly: who writes 1e300 did not mean an integer.
    """
    if not _REAL.search(number):
        return number
    value = Decimal(number)
    whole = value == value.to_integral_value() and abs(value) < EXACT_BELOW
    return str(int(value)) if whole else number


def wrong_columns(table: Table, found: Sequence[str]) -> tuple[str, str] | None:
    """What is wrong with a file's columns, and the first one that it is wrong with."""
    problems = {
        "is missing": [name for name in table.column_names if name not in found],
        "is there twice": sorted({name for name in found if found.count(name) > 1}),
    }
    for problem, names in problems.items():
        if names:
            return f"column {', '.join(map(repr, names))} {problem}", names[0]
    return None


def check_added(uri: str, names: Iterable[str]) -> None:
    """Raises BadInput for a name that no column can be given."""
    for name in names:
        if not name or "\0" in name or len(name.encode()) > MAX_NAME_BYTES:
            raise BadInput(
                uri,
                f"no column can be added under the name {shortened(name)!r}: a name has 1 to "
                f"{MAX_NAME_BYTES} bytes",
                column=name,
            )


def check_count(uri: str, count: int) -> None:
    """Raises BadInput when there are more columns than fit into a table."""
    if count > MAX_COLUMNS:
        raise BadInput(uri, f"there are {count} columns; no more than {MAX_COLUMNS} can be loaded")


def shortened(text: str, limit: int = 200) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= limit else f"{text[:limit]}…"


# COPY's text format keeps every record on one line.
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_line(values: Iterable[str | None], errors: str = "surrogatepass") -> bytes:
    """One row in COPY's text format."""
    line = "\t".join(r"\N" if value is None else value.translate(_ESCAPES) for value in values)
    # A lone surrogate, which JSON can spell, is PostgreSQL's to refuse.
    return f"{line}\n".encode(errors=errors)


def in_chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about CHUNK_BYTES, none of them empty."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def json_text(value: Any) -> str | None:
    """A value of JSON as text: strings as they are, all else as JSON has it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
