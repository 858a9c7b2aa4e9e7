"""What is not in the database: locations as the webserver sees them, certificate, disk."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Sequence
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
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/graphql", LOCATIONS_REQUEST, headers)
        response = connection.getresponse()
        body = response.read(4 << 20)
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"the webserver answers with {response.status}")
    return [
        _location(entry)
        for entry in json.loads(body)["data"]["workspaceOrError"]["locationEntries"]
    ]


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


def backups(file: Path) -> list[Row]:
    """What the service `backup` wrote down; nothing where there is none, or none was made yet."""
    if not file.exists():
        return []
    found = json.loads(file.read_text())

    def seconds(name: str) -> float | None:
        return datetime.fromisoformat(found[name]).timestamp() if found.get(name) else None

    rehearsed = found.get("rehearsal_ok")
    return [
        {
            "success_s": seconds("last_success"),
            "failed": int(seconds("last_failure") is not None),
            "rehearsal_s": seconds("rehearsal"),
            "rehearsal_failed": None if rehearsed is None else int(not rehearsed),
        }
    ]
