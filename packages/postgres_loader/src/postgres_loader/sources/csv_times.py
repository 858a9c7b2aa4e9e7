"""Looks at the dates and times of a stream of CSV that PostgreSQL reads by itself."""

import re

from postgres_loader.sources.base import RowError


class TimesCheck:
    """Sees every chunk of a stream, and raises RowError at the first row that `rows` does not
    match: perhaps it is fine, but that is for a look at each value to say.

    `rows` matches any number of whole rows; None checks nothing. The first `skip` bytes are the
    header's. Of a long row, no more is kept than has been seen of it.
    """

    def __init__(
        self, rows: re.Pattern[bytes] | None, uri: str, skip: int, quote: bytes = b'"'
    ) -> None:
        self._rows = rows
        self._quote = quote
        self._uri = uri
        self._rest = b""
        self._skip = skip
        self._enough = 0

    def take(self, chunk: bytes) -> None:
        """The next part of the stream; empty at its end."""
        if self._rows is None:
            return
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:]
            if not chunk:
                return
        self._rest += chunk or (b"\n" if self._rest else b"")
        # A row of many chunks is looked at whenever there is twice as much of it.
        if chunk and len(self._rest) < self._enough:
            return
        found = self._rows.match(self._rest)
        self._rest = self._rest[found.end() :] if found else self._rest
        self._enough = 2 * len(self._rest)
        if self._rest and (not chunk or _has_whole_row(self._rest, self._quote)):
            raise RowError(self._uri, "a row has no date or time where one is expected")


def _has_whole_row(content: bytes, quote: bytes) -> bool:
    """Whether a record ends within; at a newline that is not within quotes."""
    end, quotes = -1, 0
    while (newline := content.find(b"\n", end + 1)) >= 0:
        quotes += content.count(quote, end + 1, newline)
        if quotes % 2 == 0:
            return True
        end = newline
    return False
