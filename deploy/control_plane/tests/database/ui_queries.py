"""The user interface's own GraphQL queries, taken out of the installed webserver's scripts."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_DEFINITION = re.compile(r"(?:query|fragment) ([A-Za-z0-9_]+)(?:\([^)]*\))?(?: on [A-Za-z]+)? \{")
_USED = re.compile(r"\.\.\.\s?([A-Z][A-Za-z0-9_]*)")


def query(name: str) -> str:
    """A query's text with its fragments. Raises KeyError when there is none of that name."""
    texts = _definitions()
    needed, names = [name], {name}
    for each in needed:
        for used in _USED.findall(texts[each]):
            if used not in names:
                names.add(used)
                needed.append(used)
    return "\n".join(texts[each] for each in needed)


@cache
def _definitions() -> dict[str, str]:
    spec = find_spec("dagster_webserver")
    assert spec is not None and spec.origin
    found: dict[str, str] = {}
    for file in sorted(Path(spec.origin).parent.glob("webapp/build/_next/static/**/*.js")):
        text = file.read_text().replace("\\n", "\n")
        for match in _DEFINITION.finditer(text):
            found.setdefault(match[1], text[match.start() : _end(text, match.end())])
    return found


def _end(text: str, begin: int) -> int:
    depth, at = 1, begin
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at
