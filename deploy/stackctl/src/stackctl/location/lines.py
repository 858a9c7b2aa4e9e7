"""Lines of a text file: what an edit does not touch stays as it is, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Callable

from stackctl.errors import StackctlError


class Lines:
    """A text as lines, each with its end."""

    def __init__(self, text: str, file: str) -> None:
        if text and not text.endswith("\n"):
            raise StackctlError(f"{file}: the last line has no end")
        self._lines = text.splitlines(keepends=True)
        self._file = file

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._lines)

    def all(self) -> range:
        """Numbers of all lines."""
        return range(len(self._lines))

    def block(self, key: str, within: range | None = None) -> range:
        """Lines of a YAML key and what stands below it, in the outermost level of ``within``.

        Blank lines and comments at its end are not part of it.
        """
        within = self.all() if within is None else within
        start = self.last(rf"\s*{re.escape(key)}:", within, key, self._first_indent(within))
        indent = _indent(self._lines[start])
        end = start + 1
        for number in range(start + 1, within.stop):
            line = self._lines[number]
            if line.strip() and _indent(line) <= indent:
                break
            if line.strip():
                end = number + 1
        return range(start, end)

    def last(
        self, pattern: str, within: range | None = None, what: str = "", indent: int | None = None
    ) -> int:
        """The number of the last line that begins with ``pattern``. Raises StackctlError."""
        for number in reversed(self.all() if within is None else within):
            line = self._lines[number]
            if re.match(pattern, line) and indent in {None, _indent(line)}:
                return number
        raise StackctlError(
            f"{self._file}: no line for {what or pattern!r}, where one was expected"
        )

    def get(self, within: range) -> str:
        """The text of some lines."""
        return "".join(self._lines[within.start : within.stop])

    def insert_after(self, number: int, text: str) -> None:
        """Put whole lines behind one."""
        self._lines[number + 1 : number + 1] = text.splitlines(keepends=True)

    def delete(self, within: range) -> None:
        """Take lines out."""
        del self._lines[within.start : within.stop]

    def change(self, number: int, change: Callable[[str], str]) -> None:
        """Put another line in the place of one."""
        self._lines[number] = change(self._lines[number])

    def indent(self, number: int) -> str:
        """The blanks that a line begins with."""
        return " " * _indent(self._lines[number])

    def is_blank(self, number: int) -> bool:
        """Whether there is such a line, and nothing in it."""
        return 0 <= number < len(self._lines) and not self._lines[number].strip()

    def _first_indent(self, within: range) -> int:
        """The indent of what ``within`` holds: a key's block begins with the key itself."""
        if within == self.all():
            return 0
        inner = (self._lines[number] for number in range(within.start + 1, within.stop))
        return next(_indent(line) for line in inner if line.strip())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
