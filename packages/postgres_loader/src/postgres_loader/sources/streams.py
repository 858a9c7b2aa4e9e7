"""Streams of bytes that count, unpack and transcode other streams."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from typing import cast

from postgres_loader.errors import BadInput
from postgres_loader.landing_zone import Readable

CHUNK_BYTES = 256 * 1024
# No row that anybody wants is longer, and without a limit a quote too many holds a whole file.
LINE_LIMIT_BYTES = 64 * 1024 * 1024

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Counted:
    """The same stream; `bytes_read` is how much of it was read."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self.bytes_read += len(chunk)
        return chunk


class Unzipped:
    """What is packed in a gzip file, of one member or more. Reading raises BadInput."""

    def __init__(self, uri: str, stream: Readable) -> None:
        self._uri = uri
        # Of the file it is given, GzipFile calls nothing but read() as long as nobody seeks.
        self._file = gzip.GzipFile(fileobj=cast("gzip._ReadableFileobj", stream), mode="rb")

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except EOFError:
            reason = "the gzip file is cut off: its end is missing"
            raise BadInput(self._uri, reason) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(self._uri, f"the gzip file cannot be unpacked: {error}") from None


def as_utf8(uri: str, stream: Readable, encoding: str | None) -> Readable:
    """The stream in UTF-8 without byte order mark; what is UTF-8 already is not looked at.

    A byte order mark says what the stream is in; without one it is `encoding`, or UTF-8.
    """
    start = stream.read(4)
    for mark, marked in _MARKS:
        if start.startswith(mark):
            if marked == "utf-8":
                return _Prefixed(start.removeprefix(mark), stream)
            return _Transcoded(uri, _Prefixed(start, stream), marked)
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        return _Prefixed(start, stream)
    return _Transcoded(uri, _Prefixed(start, stream), encoding)


def lines(uri: str, stream: Readable, newline: bytes = b"\n") -> Iterator[bytes]:
    """Lines with their ends. Raises BadInput for one that is far too long."""
    parts: list[bytes] = []
    while chunk := stream.read(CHUNK_BYTES):
        *ended, rest = chunk.split(newline)
        for part in ended:
            yield b"".join((*parts, part, newline))
            parts = []
        parts.append(rest)
        if len(parts) * CHUNK_BYTES > LINE_LIMIT_BYTES:
            raise BadInput(uri, f"there is a line of more than {LINE_LIMIT_BYTES} bytes")
    if any(parts):
        yield b"".join(parts)


def any_lines(uri: str, stream: Readable) -> Iterator[bytes]:
    """Lines with their ends, each of which may be LF, CRLF or CR.

    Raises BadInput for a line that is far too long.
    """
    rest = b""
    while chunk := stream.read(CHUNK_BYTES):
        # A CR at the end may be half of a CRLF.
        *whole, rest = (rest + chunk).splitlines(keepends=True)
        if rest.endswith(b"\n"):
            whole.append(rest)
            rest = b""
        yield from whole
        if len(rest) > LINE_LIMIT_BYTES:
            raise BadInput(uri, f"there is a line of more than {LINE_LIMIT_BYTES} bytes")
    if rest:
        yield rest


class _Prefixed:
    def __init__(self, start: bytes, stream: Readable) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if not self._start:
            return self._stream.read(size)
        start, self._start = self._start[:size], self._start[size:]
        return start + (self._stream.read(size - len(start)) if size > len(start) else b"")


class _Transcoded:
    def __init__(self, uri: str, stream: Readable, encoding: str) -> None:
        self._uri = uri
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._bytes = 0
        self._lines = 1
        self._ended = False
        self._ready = b""

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size and not self._ended:
            chunk = self._stream.read(size)
            self._ended = not chunk
            self._bytes += len(chunk)
            text = self._decode(chunk)
            self._lines += text.count("\n")
            self._ready += text.encode()
        content, self._ready = self._ready[:size], self._ready[size:]
        return content

    def _decode(self, chunk: bytes) -> str:
        try:
            return self._decoder.decode(chunk, final=self._ended)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(self._encoding, errors="replace")
            offset = self._bytes - len(error.object) + error.start
            reason = f"byte {offset} (counting from 0) is not {self._encoding}: {error.reason}"
            raise BadInput(self._uri, reason, line=self._lines + good.count("\n")) from None
