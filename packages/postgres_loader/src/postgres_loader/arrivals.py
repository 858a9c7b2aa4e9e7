"""Which landing files are new since the last look, and what to load for them.

A pure function from what was seen before and what is there now; the sensor is its edge.

The cursor holds marks of files, each 8 bytes of a hash of name and version, and none of files
that have gone. So it needs about 10 characters per file, 100 kB for 10,000 of them, and neither
names nor times nor the order in which files arrive matter.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from postgres_loader.errors import LoaderError
from postgres_loader.landing_files import Extent, classify
from postgres_loader.landing_zone import FileInfo
from postgres_loader.tables import Table

CURSOR_FORMAT = 1
MARK_BYTES = 8


class CursorError(LoaderError):
    """The sensor's cursor is none that this release can read."""


@dataclass(frozen=True)
class Cursor:
    """Marks of the files that are done with, and of those that were seen and are not."""

    done: frozenset[bytes] = frozenset()
    seen: frozenset[bytes] = frozenset()

    def dump(self) -> str:
        """JSON: `{"format": 1, "done": ..., "seen": ...}`, both base 85 of the sorted marks."""
        marks = {"done": _packed(self.done), "seen": _packed(self.seen)}
        return json.dumps({"format": CURSOR_FORMAT, **marks})

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor of dump(), or an empty one where there was none. Raises CursorError."""
        if not text:
            return cls()
        try:
            content = json.loads(text)
            if content["format"] != CURSOR_FORMAT:
                raise CursorError(f"it has format {content['format']!r}, not {CURSOR_FORMAT}")
            return cls(_unpacked(content["done"]), _unpacked(content["seen"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CursorError(f"it is not what this sensor writes: {error!r}") from None


@dataclass(frozen=True)
class Request:
    """A run that loads a table, or one day of it, because of `files`."""

    extent: Extent
    files: tuple[FileInfo, ...]

    @property
    def run_key(self) -> str:
        """The same for the same versions of the same files, and for no others."""
        files = sorted((file.name, file.version) for file in self.files)
        if len(files) == 1:
            return f"{self.extent.label}: {'@'.join(files[0])}"
        digest = hashlib.blake2b(json.dumps(files).encode(), digest_size=16).hexdigest()
        return f"{self.extent.label}: {len(files)} files@{digest}"

    @property
    def waits_since(self) -> datetime:
        """When the oldest of the files was written."""
        return min(file.modified for file in self.files)


@dataclass
class Plan:
    """What follows from a look at the landing zone.

    Names of files that ask for nothing: `unknown` belong nowhere and are told once, `growing`
    may still be written, `early` are of a day that has not come. `postponed` requests are beyond
    the limit.
    """

    requests: list[Request] = field(default_factory=list)
    cursor: Cursor = field(default_factory=Cursor)
    unknown: list[str] = field(default_factory=list)
    growing: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    postponed: list[Request] = field(default_factory=list)


def plan(
    cursor: Cursor,
    files: Iterable[FileInfo],
    tables: Sequence[Table],
    *,
    files_are_whole: bool,
    last_day: date,
    limit: int,
) -> Plan:
    """What to load, given what was there before and what is there now.

    A version of a file is asked for once. Where files are not whole when they are listed, it
    must have been there at the look before. Files of one table, or of one day, share a request;
    a table's includes its days, because it loads these too. At most `limit` requests, those
    that have waited longest first.
    """
    found = Plan()
    done, seen = set(), set()
    ready: dict[Extent, list[FileInfo]] = {}
    for file in files:
        extent, mark = classify(file.name, tables), _mark(file.name, file.version)
        if extent is None or extent.is_before_its_table:
            # By name alone, so that a log file that goes on growing is told once, too.
            mark = _mark(file.name, "")
            if mark not in cursor.done:
                found.unknown.append(file.name)
            done.add(mark)
        elif mark in cursor.done:
            done.add(mark)
        elif not files_are_whole and mark not in cursor.seen:
            seen.add(mark)
            found.growing.append(file.name)
        elif extent.day is not None and extent.day > last_day:
            seen.add(mark)
            found.early.append(file.name)
        else:
            ready.setdefault(extent, []).append(file)
    requests = sorted(_requests(ready), key=lambda request: request.waits_since)
    found.requests, found.postponed = requests[:limit], requests[limit:]
    done |= _marks(found.requests)
    seen |= _marks(found.postponed)
    found.cursor = Cursor(frozenset(done), frozenset(seen))
    return found


def _requests(ready: dict[Extent, list[FileInfo]]) -> Iterator[Request]:
    for extent in ready:
        if extent.day is not None and Extent(extent.table, None) not in ready:
            yield Request(extent, tuple(ready[extent]))
        elif extent.day is None:
            of_table = [ready[other] for other in ready if other.table == extent.table]
            yield Request(extent, tuple(file for files in of_table for file in files))


def _mark(name: str, version: str) -> bytes:
    # Not every file name of a folder is Unicode.
    content = f"{name}\0{version}".encode(errors="surrogatepass")
    return hashlib.blake2b(content, digest_size=MARK_BYTES).digest()


def _marks(requests: Iterable[Request]) -> set[bytes]:
    return {_mark(file.name, file.version) for request in requests for file in request.files}


def _packed(marks: Iterable[bytes]) -> str:
    return base64.b85encode(b"".join(sorted(marks))).decode()


def _unpacked(text: str) -> frozenset[bytes]:
    marks = base64.b85decode(text)
    if len(marks) % MARK_BYTES:
        raise ValueError(f"{len(marks)} bytes are not a whole number of marks")
    parts = range(0, len(marks), MARK_BYTES)
    return frozenset(marks[start : start + MARK_BYTES] for start in parts)
