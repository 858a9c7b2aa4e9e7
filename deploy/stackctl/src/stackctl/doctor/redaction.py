"""Removes secrets from text: by their values in every spelling, and by what gives them away.

An archive for a support question is read by strangers. What is known to be a secret is removed
wherever it is, also in base64, in URLs and in JSON; of settings and environments only those are
shown whose names are known to hold no secret.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

REMOVED = "[removed]"
# Shorter values are in other words, too: they are removed where they are words of their own.
_LONG = 8
_SHORTEST = 4
# Names of what holds a secret; a name that ends in _FILE holds a path.
_SECRET_NAME = re.compile(
    r"passw|passphrase|passwd|pwd$|secret|token|credential|private|api_?key|access_?key|auth|"
    r"cookie|signature|dsn|connection_string|_key$|^key$|salt",
    re.IGNORECASE,
)
_OPENED = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
# user:password@ in a URL, up to the last @ before the path.
_IN_URL = re.compile(r"(?<=://)[^\s/\"'<>@]+(?:@[^\s/\"'<>@]+)*@")
_HEADER = re.compile(
    r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?:(basic|bearer|digest)\s+)?[^\s\"',]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=_.~-]{8,}", re.IGNORECASE)
# NAME=value, "name": "value", --name value, of a name that holds a secret.
_ASSIGNED = re.compile(
    r"(?P<name>[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key|"
    r"access[_-]?key(?:_id)?|secret[_-]?key|private[_-]?key|client[_-]?secret|dsn)[\w.-]*)"
    r"(?P<between>\\?[\"']?\s*[=:]\s*\\?[\"']?|\s+(?==)|(?<=passwd)\s+)"
    r"(?P<value>[^\s\"',;&}\\\]]+)",
    re.IGNORECASE,
)
_NETRC = re.compile(r"(\blogin\s+\S+\s+password\s+|^\s*password\s+)\S+(?=\s*$)", re.MULTILINE)
_CLOUD_KEYS = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abpr]-[A-Za-z0-9-]{10,}|"
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
)
_HARMLESS = frozenset({"true", "false", "none", "null", "yes", "no", "postgres", "dagster"})


def is_secret_name(name: str) -> bool:
    """Whether a setting or variable of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not name.upper().endswith("_FILE")


class Redactor:
    """Removes a set of secret values, and what looks like one."""

    def __init__(self, shown: Iterable[str]) -> None:
        """``shown`` are names of settings and variables that hold no secret."""
        self._shown = {name for name in shown if not is_secret_name(name)}
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, *values: str) -> None:
        """Values to be removed, and passwords of those that are URLs."""
        for value in values:
            for one in {value, value.strip(), *value.split("\n"), *_passwords(value)}:
                if len(one) >= _SHORTEST and one.lower() not in _HARMLESS and not one.isspace():
                    self._values.add(one)
        self._pattern = None

    def learn_environment(self, variables: Mapping[str, str]) -> None:
        """The values of those that are not shown, if they can be told from ordinary words."""
        for name, value in variables.items():
            if is_secret_name(name) or (name not in self._shown and len(value) >= _LONG):
                self.learn(value)
            else:
                self.learn(*_passwords(value))

    def learn_file(self, content: str) -> None:
        """A file with a secret: its lines, and long words in them."""
        self.learn(*content.split("\n"), *(word for word in content.split() if len(word) >= 16))

    def learn_netrc(self, text: str) -> None:
        """Logins and passwords of a netrc file."""
        words = text.split()
        for key, value in pairwise(words):
            if key in {"password", "login", "account"}:
                self.learn(value)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The same names; values only where they are shown."""
        return {
            name: value if name in self._shown else REMOVED if value else value
            for name, value in variables.items()
        }

    def filtered(self, data: Any) -> Any:
        """Data of docker, with the environments and arguments of builds in it filtered."""
        if isinstance(data, dict):
            return {key: self._entry(key, value) for key, value in data.items()}
        if isinstance(data, list):
            return [self.filtered(one) for one in data]
        return data

    def _entry(self, key: str, value: Any) -> Any:
        if key == "Env" or key.lower().endswith(("environment", "args")):
            if isinstance(value, list):
                pairs = dict(str(one).partition("=")[::2] for one in value)
                return [f"{name}={shown}" for name, shown in self.environment(pairs).items()]
            if isinstance(value, dict):
                return self.environment({name: str(one or "") for name, one in value.items()})
        if isinstance(value, str) and is_secret_name(key) and key not in {"source", "Source"}:
            return REMOVED
        return self.filtered(value)

    def clean(self, text: str) -> str:
        """Text without secrets. Everything that goes into an archive goes through this."""
        if self._pattern is None:
            self._pattern = _pattern(self._values)
        if self._pattern:
            text = self._pattern.sub(REMOVED, text)
        text = _OPENED.sub(REMOVED, text)
        text = _IN_URL.sub(f"{REMOVED}@", text)
        text = _HEADER.sub(rf"\1{REMOVED}", text)
        text = _BEARER.sub(rf"\1 {REMOVED}", text)
        text = _CLOUD_KEYS.sub(REMOVED, text)
        text = _NETRC.sub(rf"\1{REMOVED}", text)
        return _ASSIGNED.sub(_without_value, text)


def _without_value(match: re.Match[str]) -> str:
    """Paths of files, and what is removed already, stay."""
    name, value = match["name"], match["value"]
    if name.upper().endswith("_FILE") or value.startswith((REMOVED, "[", "/", "{", "$", "<")):
        return match[0]
    if value.lower() in _HARMLESS or (value.isdigit() and len(value) < _SHORTEST):
        return match[0]
    return f"{name}{match['between']}{REMOVED}"


def spellings(value: str) -> Iterator[str]:
    """The ways in which a value may be written."""
    yield value
    yield json.dumps(value)[1:-1]
    # As Compose writes a dollar sign, and Go's JSON these three.
    yield value.replace("$", "$$")
    yield (
        json.dumps(value)[1:-1]
        .replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
    )
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda one: one[0].lower(), quoted)
    if len(value) >= _LONG:
        raw = value.encode()
        yield raw.hex()
        yield raw.hex().upper()


def _base64(raw: bytes) -> Iterator[str]:
    """In base64, at each of the three places in which the value can begin in a longer one."""
    for offset in range(3):
        padded = bytes(offset) + raw
        whole = len(padded) // 3 * 4
        first = (0, 2, 3)[offset]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # What is next to the value changes the character at either end.
            inner = encode(padded).decode()[first:whole]
            if len(inner) >= _LONG:
                yield inner


def _pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    parts: dict[str, str] = {}
    for value in values:
        for text in filter(None, spellings(value)):
            escaped = re.escape(text)
            parts[text] = escaped if len(value) >= _LONG else rf"(?<!\w){escaped}(?!\w)"
        if len(value) >= _LONG:
            # To the end of its word, where the value's last bytes may be.
            parts |= {
                text: re.escape(text) + r"[A-Za-z0-9+/_-]{0,3}={0,2}"
                for text in _base64(value.encode())
            }
    # The longest first: one may be the beginning of another.
    ordered = sorted(parts, key=lambda text: (-len(text), text))
    return re.compile("|".join(parts[text] for text in ordered)) if parts else None


def _passwords(text: str) -> list[str]:
    """Passwords of URLs in a text, as they are and as they were meant."""
    found = []
    for match in re.finditer(r"\S+://\S+@\S+", text):
        try:
            password = urlsplit(match[0].strip("\"',")).password
        except ValueError:
            continue
        if password:
            found += [password, unquote(password)]
    return found
