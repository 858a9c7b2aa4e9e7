"""Edits of a YAML text at places that its parser names: all else stays as it is, byte by byte.

Not ruamel's round trip, which writes the whole text again, and takes the comment above a key for
the end of the key before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, ScalarNode, SequenceNode

from stackctl.errors import StackctlError


class YamlText:
    """A YAML file's text, and the edits to make in it; places are those of the text given."""

    def __init__(self, text: str, file: str) -> None:
        if not text.endswith("\n"):
            raise StackctlError(f"{file}: the last line has no end")
        self.text = text
        self._file = file
        self._lines = text.splitlines(keepends=True)
        self._edits: list[tuple[int, int, str]] = []
        try:
            self._root = _compose(text)
        except YAMLError:
            raise StackctlError(f"{file} is not valid YAML") from None

    @property
    def edited(self) -> str:
        """The text with all edits made."""
        text = self.text
        # Of two at one place, the first comes first.
        for start, end, new in reversed(sorted(self._edits, key=lambda edit: edit[:2])):
            text = text[:start] + new + text[end:]
        return text

    def entries(self, *path: str) -> dict[str, tuple[ScalarNode, Any]]:
        """Keys of the mapping at ``path``, each with its nodes. Raises StackctlError."""
        node = self.entry(*path)[1] if path else self._root
        if not isinstance(node, MappingNode):
            raise StackctlError(f"{self._file}: {'.'.join(path) or 'all of it'} is not a mapping")
        return {key.value: (key, value) for key, value in node.value}

    def entry(self, *path: str) -> tuple[ScalarNode, Any]:
        """The nodes of the key at ``path`` and of its value. Raises StackctlError."""
        found = self.entries(*path[:-1])
        if path[-1] not in found:
            raise StackctlError(f"{self._file}: there is no {'.'.join(path)}")
        return found[path[-1]]

    def items(self, *path: str) -> list[Any]:
        """Nodes of the list at ``path``. Raises StackctlError."""
        node = self.entry(*path)[1]
        if not isinstance(node, SequenceNode) or not node.value:
            raise StackctlError(f"{self._file}: {'.'.join(path)} is not a list with items")
        return list(node.value)

    def item(self, *path: str, prefix: str) -> ScalarNode:
        """The last text in the list at ``path`` that begins so."""
        for node in reversed(self.items(*path)):
            if isinstance(node, ScalarNode) and node.value.startswith(prefix):
                return node
        raise StackctlError(f"{self._file}: nothing in {'.'.join(path)} begins with {prefix}")

    def change(self, node: ScalarNode, value: str) -> None:
        """Give a text another value, in the quotes that it has."""
        quote = node.style or ""
        self._edits.append((node.start_mark.index, node.end_mark.index, f"{quote}{value}{quote}"))

    def add_after(self, first: Any, last: Any, new: str) -> None:
        """Put lines behind what begins with the node ``first`` and ends with ``last``.

        Each gets the indent of the first line there, which its own indent comes on top of.
        """
        line = self._lines[self._line_of(first)]
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines = (indent + each if each.strip() else each for each in new.splitlines(keepends=True))
        place = self._start_of(self._end(first, last))
        self._edits.append((place, place, "".join(lines)))

    def remove(self, first: Any, last: Any, *, blank: bool = False) -> None:
        """Take out the lines of two nodes and between; if asked, with a ``blank`` one beside."""
        start, end = self._line_of(first), self._end(first, last)
        if blank and not self._lines[start - 1].strip():
            start -= 1
        elif blank and end < len(self._lines) and not self._lines[end].strip():
            end += 1
        self._edits.append((self._start_of(start), self._start_of(end), ""))

    def _line_of(self, node: Any) -> int:
        """The line that a key or item begins; raises StackctlError if others begin there, too."""
        number: int = node.start_mark.line
        if self._lines[number][: node.start_mark.column].strip() not in {"", "-"}:
            raise StackctlError(
                f"{self._file}, line {number + 1}: expected one entry per line. Fix: write each key"
                " and item on a line of its own"
            )
        return number

    def _end(self, first: Any, last: Any) -> int:
        """The number of the line behind; comments there that are not indented are not part."""
        is_block = isinstance(last, CollectionNode) and not last.flow_style
        # The parser says where the next token begins after a block, and after nothing.
        is_exact = not is_block and last.start_mark.index < last.end_mark.index
        end = last.end_mark.line + is_exact
        start, column = first.start_mark.line, first.start_mark.column
        while end - 1 > start:
            text = self._lines[end - 1]
            indent = len(text) - len(text.lstrip(" "))
            if text.strip() and not (text.lstrip().startswith("#") and indent <= column):
                break
            end -= 1
        return int(end)

    def _start_of(self, line: int) -> int:
        return sum(map(len, self._lines[:line]))


# A text is asked for its locations, then changed; composing takes 0.3 s for docker-compose.yml.
@lru_cache(maxsize=4)
def _compose(text: str) -> Any:
    """The root node; never changed."""
    return YAML().compose(text)
