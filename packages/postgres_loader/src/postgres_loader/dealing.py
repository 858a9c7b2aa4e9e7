"""Deals the records of one stream out to several readers, each in a thread of its own."""

import threading
from collections import deque
from types import TracebackType
from typing import Self

from postgres_loader.sources import CopySource
from postgres_loader.sources.streams import CHUNK_BYTES


class Stopped(Exception):
    """Another reader has failed, so that nothing is to be read any more."""


class Dealer:
    """A source's stream, of which each piece goes to whoever asks first.

    Pieces end where a record does, as long as one does within a chunk. A longer record is dealt in
    several pieces, all to the same reader, so that no more than a chunk is ever held.

    Attributes:
        failure: what the first of the readers failed with.
    """

    def __init__(self, source: CopySource) -> None:
        self._source = source
        self._rest = b""
        self._quoted = False
        # For good: what a growing file gets later would begin in the middle of a record.
        self._ended = False
        self.failure: BaseException | None = None
        # Held by the reader that is in the middle of a record.
        self.turn = threading.Lock()

    def stop(self, failure: BaseException) -> None:
        """Let every further reading raise Stopped."""
        self.failure = self.failure or failure

    def deal(self) -> tuple[bytes, bool]:
        """The next piece, and whether it ends in the middle of a record. Nothing at the end."""
        if self.failure:
            raise Stopped from self.failure
        chunk = b"" if self._ended else self._source.read(CHUNK_BYTES)
        piece = self._rest + chunk
        if not chunk:
            self._ended, self._rest = True, b""
            return piece, False
        end = self._end(piece)
        self._rest = piece[end:] if end else b""
        return piece[: end or len(piece)], not end

    def _end(self, piece: bytes) -> int:
        """Where the last record ends that does so within the piece; 0 if none does."""
        quote, newline = self._source.quote, self._source.newline
        # As COPY has it: every quote, wherever it is, opens or closes, and a doubled one does both.
        quoted = self._quoted ^ (bool(quote) and piece.count(quote) % 2 == 1)
        self._quoted = quoted
        end = len(piece)
        while (found := piece.rfind(newline, 0, end)) >= 0:
            quoted ^= bool(quote) and piece.count(quote, found, end) % 2 == 1
            if not quoted:
                self._quoted = False
                return found + len(newline)
            end = found
        return 0


class Reader:
    """One of a dealer's readers, for one thread. At its end, the others get their turn."""

    def __init__(self, dealer: Dealer) -> None:
        self._dealer = dealer
        self._ahead: deque[bytes] = deque()
        self._in_record = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error:
            self._dealer.stop(error)
        if self._in_record:
            self._in_record = False
            self._dealer.turn.release()

    def longer_than(self, size: int) -> bool:
        """Whether the stream is. What is read to find out comes first in what this one reads."""
        while size >= 0 and (piece := self._take()):
            self._ahead.append(piece)
            size -= len(piece)
        return size < 0

    def read(self, _size: int = -1, /) -> bytes:
        """A piece of about any size: COPY takes what it gets."""
        return self._ahead.popleft() if self._ahead else self._take()

    def _take(self) -> bytes:
        if not self._in_record:
            self._dealer.turn.acquire()
        self._in_record = False
        try:
            piece, self._in_record = self._dealer.deal()
            return piece
        finally:
            if not self._in_record:
                self._dealer.turn.release()
