"""Each record of a stream goes to one reader, whole."""

import csv
import io
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postgres_loader.dealing import Dealer, Reader, Stopped
from postgres_loader.sources import CopySource


class Chunks:
    """A source whose stream comes in the given chunks."""

    def __init__(self, chunks: Sequence[bytes], quote: bytes = b'"', newline: bytes = b"\n"):
        self.quote, self.newline = quote, newline
        self._chunks = iter(chunks)

    def read(self, _size: int = -1, /) -> bytes:
        return next(self._chunks, b"")


def dealer(chunks: Sequence[bytes], **options: Any) -> Dealer:
    return Dealer(cast("CopySource", Chunks(chunks, **options)))


def cut(content: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(content), *(place % (len(content) + 1) for place in cuts)})
    return [content[start:end] for start, end in itertools.pairwise(places)]


def parsed(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


fields = st.text(st.sampled_from('a",\n\r é'), max_size=6)


@given(
    rows=st.lists(st.lists(fields, min_size=2, max_size=3), max_size=8),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    ended=st.booleans(),
)
@example(rows=[["\n", "a"], ["\n\n", ""]], newline="\n", cuts=range(30), ended=False)
def test_records_stay_whole(
    rows: list[list[str]], newline: str, cuts: Sequence[int], ended: bool
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=newline).writerows(rows)
    content = text.getvalue().encode()
    content = content if ended else content.removesuffix(newline.encode())
    dealing = dealer(cut(content, cuts), newline=newline[-1:].encode())
    whole, parts = b"", [b""]
    while True:
        piece, in_record = dealing.deal()
        whole += piece
        parts[-1] += piece
        if not piece:
            break
        if not in_record:
            parts.append(b"")
    assert whole == content
    assert [row for part in parts for row in parsed(part)] == rows


def test_without_quotes_every_newline_ends_a_record() -> None:
    dealing = dealer([b'1\t"\n2\t', b"x\n3"], quote=b"")
    assert [dealing.deal() for _ in range(4)] == [
        (b'1\t"\n', False),
        (b"2\tx\n", False),
        (b"3", False),
        (b"", False),
    ]


def test_a_long_record_goes_to_one_reader_and_is_not_held() -> None:
    # A quotation that begins in the first chunk and ends in the last one.
    dealing = dealer([b'1,"a\n', b"b\n", b'c"\n2,x\n', b"3,y\n"])
    with Reader(dealing) as one, Reader(dealing) as other, ThreadPoolExecutor(1) as pool:
        assert one.read() == b'1,"a\n'
        of_other = pool.submit(other.read)
        assert (one.read(), one.read()) == (b"b\n", b'c"\n2,x\n')
        assert of_other.result(30) == b"3,y\n"
        assert (one.read(), pool.submit(other.read).result(30)) == (b"", b"")


def test_what_was_looked_at_comes_first() -> None:
    dealing = dealer([b"1\n", b"2\n", b"3\n"])
    with Reader(dealing) as one, Reader(dealing) as other:
        assert one.longer_than(2)
        assert other.read() == b"3\n"
        assert [one.read(), one.read(), one.read()] == [b"1\n", b"2\n", b""]
    dealing = dealer([b"1\n", b"2\n"])
    with Reader(dealing) as one:
        assert not one.longer_than(4)
        assert [one.read(), one.read(), one.read()] == [b"1\n", b"2\n", b""]


def test_a_failure_stops_the_others_even_in_a_record() -> None:
    dealing = dealer([b'1,"a\n', b"b\n", b'c"\n'])
    failure = RuntimeError("the session is lost")

    def fail() -> None:
        with Reader(dealing) as one:
            assert one.read() == b'1,"a\n'
            raise failure

    with Reader(dealing) as other:
        with pytest.raises(RuntimeError, match="lost"):
            fail()
        with pytest.raises(Stopped) as stopped:
            other.read()
        assert stopped.value.__cause__ is failure is dealing.failure
