"""Signs of life of a long load, in the run's log.

A thread writes them: so a statement that takes minutes in the server shows some as well, and a log
that is slow or raises neither holds up nor ends a load. Dagster's Pipes log from threads, too.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Self

from postgres_loader.sources import CopySource

PERIOD_S = 10.0
# How long a load waits at its end for a log that does not answer.
PATIENCE_S = 5.0
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Phase:
    """Something that a load does, such as "merging 3 rows into raw.fruit"."""

    def __init__(self, what: str) -> None:
        self._what = what

    def first_line(self) -> str:
        """What to say when it begins."""
        return self._what

    def line(self, for_s: float, since_s: float) -> str:
        """What to say when it has gone on `for_s` seconds, `since_s` of them since the last line
        or since it began."""
        del since_s
        return f"{self._what}, for {for_s:.0f} s"


class Reading(Phase):
    """A file that is being read; its `size` in bytes is None where it is unknown."""

    def __init__(
        self, name: str, size: int | None, bytes_read: Callable[[], int], then: str
    ) -> None:
        super().__init__(f"reading {name}" + (f", {_bytes(size)}" if size else ""))
        self._name = name
        self._size = size
        self._bytes_read = bytes_read
        self._then = then
        self._said = 0

    def line(self, for_s: float, since_s: float) -> str:
        done = self._bytes_read()
        if self._size and done >= self._size:
            whole = _bytes(self._size)
            return f"{self._name}: all {whole} are read, {self._then}, for {for_s:.0f} s"
        speed = _bytes((done - self._said) / since_s if since_s > 0 else 0)
        self._said = done
        far = f"{done / self._size:.0%} of {_bytes(self._size)}" if self._size else _bytes(done)
        return f"reading {self._name}: {far}, {speed}/s"


class Talk:
    """What to say of a load, and when: nothing before it has lasted `period_s`, then a line each
    `period_s`, and one for the beginning of a phase that follows one as long as that.

    Times are seconds of any clock that goes forward only.
    """

    def __init__(self, period_s: float, now: float) -> None:
        self._period_s = period_s
        self._load_began = self._phase_began = self._last_said = now
        self._phase: Phase | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until `go_on()` is due."""
        return max(0.0, self._last_said + self._period_s - now)

    def begin(self, phase: Phase, now: float) -> str | None:
        """A phase begins."""
        was_long = self._phase is not None and now - self._phase_began >= self._period_s
        self._phase, self._phase_began = phase, now
        return self._said(phase.first_line(), now) if was_long else None

    def go_on(self, now: float) -> str | None:
        """Nothing has begun or ended for a while."""
        since = max(self._last_said, self._phase_began)
        if self._phase is None:
            return self._said(None, now)
        return self._said(self._phase.line(now - self._phase_began, now - since), now)

    def end(self, result: str, now: float) -> str | None:
        """A load has ended; perhaps another one follows."""
        was_long = now - self._load_began >= self._period_s
        self._phase, self._load_began = None, now
        return self._said(result, now) if was_long else None

    def _said(self, line: str | None, now: float) -> str | None:
        self._last_said = now
        return line


class Progress:
    """Says by `log` how a load goes on, from a thread that ends with the `with` block.

    Without a log it says nothing.
    """

    def __init__(
        self,
        log: Callable[[str], object] | None = None,
        *,
        period_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        self._talk = Talk(PERIOD_S if period_s is None else period_s, clock())
        self._news: queue.SimpleQueue[Phase | str | None] = queue.SimpleQueue()
        # As a daemon, it does not keep a process whose log hangs.
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._log:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._log:
            self._news.put(None)
            self._thread.join(PATIENCE_S)

    def doing(self, what: str) -> None:
        """The load begins something else."""
        self._put(Phase(what))

    def reading(self, source: CopySource, *, careful: bool) -> None:
        """The load begins to read a source, or reads it a second time, carefully."""
        name = source.uri.rstrip("/").rpartition("/")[2]
        then = "bad rows are looked for" if careful else "rows are stored"
        again = " again, row by row" if careful else ""
        self._put(Reading(f"{name}{again}", source.size, lambda: source.bytes_read, then))

    def ended(self, result: str) -> None:
        """The load has ended, with that result."""
        self._put(result)

    def _put(self, news: Phase | str) -> None:
        if self._log:
            self._news.put(news)

    def _tell(self) -> None:
        while True:
            try:
                news = self._news.get(timeout=self._talk.wait_s(self._clock()))
            except queue.Empty:
                news = ""
            if news is None:
                return
            # No log, and nothing that is said in it, is worth a load.
            with contextlib.suppress(Exception):
                if (line := self._line(news)) and self._log:
                    self._log(line)

    def _line(self, news: Phase | str) -> str | None:
        now = self._clock()
        if isinstance(news, Phase):
            return self._talk.begin(news, now)
        return self._talk.end(news, now) if news else self._talk.go_on(now)


SILENT = Progress()


def _bytes(size: float) -> str:
    """A size as people read it: 1.2 GB, of 1,000 each."""
    units = iter(_UNITS)
    unit = next(units)
    while size >= 999.5 and unit != _UNITS[-1]:
        size, unit = size / 1000, next(units)
    return f"{size:.3g} {unit}" if size >= 1 else f"{size:.0f} {unit}"
