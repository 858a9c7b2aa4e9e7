"""The files .env and .env.example, as text."""

from __future__ import annotations

import re

_SETTING = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*)$")
_EXAMPLE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)
_IN_COMPOSE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
# A setting that the file passes on under its own name, without a value.
_PASSED_ON = re.compile(r"^\s+([A-Z][A-Z0-9_]*):\s*$", re.MULTILINE)


def read(text: str) -> list[tuple[str, str]]:
    """Names and values, in order; quotes and comments at the end of a line left out."""
    found = []
    for line in text.splitlines():
        match = _SETTING.match(line.strip())
        if match:
            found.append((match[1], _value(match[2])))
    return found


def names(example: str) -> set[str]:
    """The settings that .env.example has, commented out or not."""
    return set(_EXAMPLE.findall(example))


def used(compose: str) -> set[str]:
    """The settings that a compose file reads."""
    return set(_IN_COMPOSE.findall(compose)) | set(_PASSED_ON.findall(compose))


def _value(text: str) -> str:
    text = text.strip()
    if text[:1] in {'"', "'"} and text.find(text[0], 1) > 0:
        return text[1 : text.index(text[0], 1)]
    return re.sub(r"(^|\s+)#.*$", "", text)
