"""Failures that explain themselves to the person who reads them in the UI."""

from collections.abc import Sequence
from typing import NamedTuple


class RejectedRow(NamedTuple):
    """A bad row: the first column that is wrong with it, if it is one, and the row, shortened."""

    line: int
    column: str | None
    value: str | None
    reason: str
    record: str | None


class LoaderError(Exception):
    """An expected failure: a sentence for a reader, and `details` by name for the UI."""

    # Whether a retry can succeed: what is wrong may pass by itself.
    may_pass = False

    def __init__(self, message: str, **details: str | int | None) -> None:
        super().__init__(message)
        self.details = {name: value for name, value in details.items() if value is not None}


class LandingZoneError(LoaderError):
    """The landing zone refuses: wrong address, no such file, no permission."""


class NoSuchFile(LandingZoneError):
    """There is no file of that name."""


class LandingZoneUnavailable(LandingZoneError):
    """The landing zone's store does not answer, or is not ready yet."""

    may_pass = True


class WarehouseError(LoaderError):
    """The warehouse refused something that is not the input's fault."""


class WarehouseUnavailable(WarehouseError):
    """The warehouse is away or busy: no connection, a lost one, a lock that others hold."""

    may_pass = True


class BadInput(LoaderError):
    """The input cannot be loaded; says where it is wrong as far as that is known.

    `line` counts from 1 and includes the header; `record` counts the records of an API, or the
    rows of a Parquet file, from 1. Where it is about many rows, `rejected_rows` are the first.
    """

    rejected_rows: Sequence[RejectedRow] = ()

    def __init__(
        self,
        uri: str,
        reason: str,
        *,
        line: int | None = None,
        record: int | None = None,
        column: str | None = None,
        value: str | None = None,
    ) -> None:
        places = {"line": line, "record": record, "column": column}
        where = "".join(f", {kind} {place}" for kind, place in places.items() if place is not None)
        super().__init__(
            f"{uri}{where}: {reason}",
            file=uri,
            line=line,
            record=record,
            column=column,
            value=value,
        )


class MassDeletion(BadInput):
    """A load would delete more of the table's rows than it may."""
