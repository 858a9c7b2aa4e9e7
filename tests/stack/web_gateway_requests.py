"""Pieces of requests to a web gateway, as pages, programs and attackers send them."""

from __future__ import annotations

import json

Headers = list[tuple[str, str]]

JSON = ("Content-Type", "application/json")
# What a browser sends along when a page of this gateway asks, or one of another site.
OWN = ("Sec-Fetch-Site", "same-origin")
MUTATION = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})
QUERY = json.dumps({"query": "{ version }"})
GET_MUTATION = "/graphql?query=mutation%7BreloadWorkspace%7B__typename%7D%7D"
REPORT = "/report_asset_materialization/planted"
PAGE: Headers = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
SOCKET: Headers = [
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "graphql-ws"),
]
WEBSOCKET: Headers = [("Upgrade", "websocket"), *SOCKET]
FOREIGN = ("Origin", "https://evil.example")
CROSS = ("Sec-Fetch-Site", "cross-site")
