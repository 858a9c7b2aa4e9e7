"""What is not in the database: locations as the webserver sees them, certificate, disk."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from cryptography import x509

from stack_exporter.series import Family, Row

# The one request that the web gateway passes on from here, letter for letter (haproxy.cfg).
LOCATIONS_REQUEST = (
    '{"query":"{workspaceOrError{...on Workspace{locationEntries{name loadStatus'
    " locationOrLoadError{__typename ...on RepositoryLocation{repositories{"
    'displayMetadata{key value}}}}}}}}"}'
)
TIMEOUT_S = 8.0
# A certificate's end is not a matter of seconds.
CERTIFICATE_EVERY_S = 600.0

LOCATION_FAMILIES = (
    Family("dagster_location_loaded", "Whether a location loaded.", ("location",), "loaded", min),
    Family(
        "dagster_location_release",
        "1, with the image that a location is served from.",
        ("location", "image"),
        "one",
    ),
)
DISK_FAMILIES = (
    Family("stack_disk_bytes", "Size of the disk with the engine's data.", (), "size"),
    Family("stack_disk_free_bytes", "Free on that disk.", (), "free"),
)
BACKUP_FAMILIES = (
    Family("backup_last_success_timestamp_seconds", "Last backup that succeeded.", (), "success_s"),
    Family("backup_last_failed", "Whether the last backup failed.", (), "failed"),
    Family("backup_rehearsal_timestamp_seconds", "Last rehearsed restore.", (), "rehearsal_s"),
    Family("backup_rehearsal_failed", "Whether that failed.", (), "rehearsal_failed"),
    Family(
        "backup_offsite_last_success_timestamp_seconds",
        "Last copy of the backups elsewhere.",
        (),
        "copied_s",
    ),
    Family("backup_offsite_last_failed", "Whether the last one failed.", (), "copy_failed"),
    Family("backup_offsite_check_failed", "Whether the last check did.", (), "check_failed"),
)
CERTIFICATE_FAMILIES = (
    Family(
        "web_gateway_certificate_end_timestamp_seconds",
        "When the web gateway's certificate ends; absent while it serves without TLS.",
        (),
        "end_s",
        min,
    ),
)


def locations(host: str, port: int) -> list[Row]:
    """What the webserver says of each location. Raises OSError, ValueError or KeyError."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    found = ask(connection, "the webserver", "POST", "/graphql", LOCATIONS_REQUEST, headers)
    return [_location(entry) for entry in found["data"]["workspaceOrError"]["locationEntries"]]


def ask(connection: HTTPConnection, who: str, *request: Any) -> Any:
    """The JSON that ``who`` answers to one request. Raises OSError or ValueError."""
    with closing(connection):
        connection.request(*request)
        response = connection.getresponse()
        body = response.read(4 << 20)
    if response.status != 200:
        raise ValueError(f"{who} answers with {response.status}")
    return json.loads(body)


def _location(entry: dict[str, Any]) -> Row:
    found = entry["locationOrLoadError"] or {}
    loaded = entry["loadStatus"] == "LOADED" and found.get("__typename") == "RepositoryLocation"
    metadata = [each for part in found.get("repositories", ()) for each in part["displayMetadata"]]
    image = next((each["value"] for each in metadata if each["key"] == "image"), None)
    return {
        "location": entry["name"],
        "loaded": int(loaded),
        "image": image,
        "one": 1 if image else None,
    }


def certificate(host: str, port: int) -> list[Row]:
    """When the certificate that is served there ends; nothing where there is no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It is looked at, not trusted: it may be self-signed.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            served = secured.getpeercert(binary_form=True)
    except (ssl.SSLError, ConnectionResetError):
        return []
    if served is None:
        return []
    return [{"end_s": x509.load_der_x509_certificate(served).not_valid_after_utc.timestamp()}]


def disk(path: str) -> Sequence[Row]:
    """Size and free bytes, for others than root, of the file system that holds ``path``."""
    found = os.statvfs(path)
    return [{"size": found.f_frsize * found.f_blocks, "free": found.f_frsize * found.f_bavail}]


def backups(folder: Path) -> list[Row]:
    """What the services `backup` and `backup_offsite` wrote down, if they did."""
    made, copied = (_written(folder / name) for name in ("status.json", "offsite.json"))
    if not made and not copied:
        return []
    rehearsed = made.get("rehearsal_ok")
    check = copied.get("check")
    return [
        {
            "success_s": _seconds(made.get("last_success")),
            "failed": int(bool(made.get("last_failure"))) if made else None,
            "rehearsal_s": _seconds(made.get("rehearsal")),
            "rehearsal_failed": None if rehearsed is None else int(not rehearsed),
            "copied_s": _seconds((copied.get("success") or {}).get("time")),
            "copy_failed": int(bool(copied.get("failure"))) if copied else None,
            "check_failed": int(bool(check["error"])) if check else None,
        }
    ]


def _written(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
