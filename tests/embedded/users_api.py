"""A users API of the tests' own: unavailable for the first requests, then well."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAILURES = 2


def users() -> list[dict[str, Any]]:
    """Three users in the form of jsonplaceholder.typicode.com."""
    return [
        {
            "id": number,
            "name": f"User {number}",
            "username": f"user{number}",
            "email": f"user{number}@example.com",
            "address": {
                "street": "Street",
                "suite": "1",
                "city": "Town",
                "zipcode": "12345",
                "geo": {"lat": "1.5", "lng": "-2.5"},
            },
            "phone": "1-234",
            "website": "example.com",
            "company": {"name": "Company", "catchPhrase": "Phrase", "bs": "bs"},
        }
        for number in (1, 2, 3)
    ]


class UsersApi(ThreadingHTTPServer):
    """Listens on a free port of loopback; ``statuses`` are the answers so far."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: UsersApi

    def do_GET(self) -> None:
        status = 503 if len(self.server.statuses) < FAILURES else 200
        self.server.statuses.append(status)
        body = json.dumps(users()).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the console."""
