"""Channels: Apprise URLs, each a secret in a file of its own, and messages sent to them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import apprise
from apprise.common import OverflowMode

from stack_alerts.settings import STACK

KINDS = {"down": "failure", "warn": "warning", "up": "success", "note": "info"}
_ASSET = apprise.AppriseAsset(
    app_id="Dagster", app_desc="Dagster", app_url="", async_mode=False, secure_logging=True
)
# It logs to nobody but the capture below: what it says may hold parts of a URL.
logging.getLogger("apprise").propagate = False
_SCHEME = {"http", "https", "json", "jsons", "form", "forms"}
_USER = re.compile(r"(\w+://)[^\s/@]+@")


@dataclass(frozen=True)
class Channels:
    """``folder``/stack/NAME and ``folder``/locations/LOCATION/NAME, read when they are needed."""

    folder: Path

    def _of(self, location: str) -> Path:
        return self.folder / "stack" if location == STACK else self.folder / "locations" / location

    def names(self) -> dict[str, list[str]]:
        """The channels of the stack and of each location."""
        places = [self._of(STACK), *sorted((self.folder / "locations").glob("*"))]
        return {
            STACK if place.name == "stack" and place.parent == self.folder else place.name: sorted(
                file.name for file in place.iterdir() if not file.name.startswith(".")
            )
            for place in places
            if place.is_dir()
        }

    def send(self, location: str, name: str, kind: str, title: str, body: str) -> str:
        """Send once; the reason if that failed, without any part of the URL, else empty."""
        try:
            url = (self._of(location) / name).read_text().strip()
        except OSError as error:
            return f"there is no such channel ({error.strerror})"
        return send(url, kind, title, body)


def send(url: str, kind: str, title: str, body: str) -> str:
    """Send to one URL, as above. A message that a service finds too long is cut."""
    service = apprise.Apprise(asset=_ASSET)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]
        try:
            if not service.add(url):
                return "what is stored is not a URL that Apprise knows"
            for plugin in service:
                if plugin.overflow_mode == OverflowMode.UPSTREAM:
                    plugin.overflow_mode = OverflowMode.TRUNCATE
            is_sent = service.notify(
                title=title, body=body, notify_type=KINDS[kind], body_format="text"
            )
            said = "" if is_sent else log.getvalue().strip() or "it was not accepted"
        except Exception as error:
            # Of any of a hundred services; one that fails must not stop the others.
            said = f"{type(error).__name__}: {error}"
    return redact(said, url)[:300]


def redact(text: str, *urls: str) -> str:
    """The text without these URLs' parts, and without users and passwords of others."""
    parts: set[str] = set()
    for url in urls:
        for each in (url, unquote(url)):
            parts |= {each, *re.split(r"[/:@?&=,#\s]+", each)} - _SCHEME
    for part in sorted((part for part in parts if len(part) >= 4), key=len, reverse=True):
        text = text.replace(part, "***")
    return _USER.sub(r"\1***@", text)


def shown(location: str) -> str:
    """An audience's name for people."""
    return location or "the stack"
