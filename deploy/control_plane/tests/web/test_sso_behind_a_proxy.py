"""Single sign-on behind a reverse proxy, under a prefix: what oauth2-proxy gets and answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from programs import PAGE, RULES, ask, free_port, gateway

HOST = "dagster.example.com"


class LoginPage(BaseHTTPRequestHandler):
    """In oauth2-proxy's place: notes what it is asked, and sets its cookies."""

    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        self.send_response(302)
        self.send_header("Location", "https://login.example.com/")
        for name in ("__Host-dagster_sso_0", "__Host-dagster_sso_csrf"):
            self.send_header("Set-Cookie", f"{name}=a; Path=/dagster/; HttpOnly; Secure")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def login_page() -> Iterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
    asked: list[tuple[str, dict[str, str]]] = []
    handler = type("Handler", (LoginPage,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def test_what_goes_to_it_and_comes_back(webservers: dict[str, int], folder: Path) -> None:
    inside = free_port()
    with login_page() as (port, asked):
        settings = {
            "SSO_ISSUER": "https://login.example.com",
            "SSO_EDITORS": "ed@example.com",
            "SSO_ADDRESS": f"127.0.0.1:{port}",
            "WEB_INSIDE_ADDRESS": f"127.0.0.1:{inside}",
            "WEB_TRUSTED_PROXIES": "127.0.0.2",
            "WEB_HOSTS": HOST,
            "WEB_PATH_PREFIX": "/dagster",
        }
        headers = {
            "Host": "127.0.0.1:3000",
            "X-Forwarded-Host": HOST,
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Email": "ed@example.com",
            "Cookie": "other=1; __Secure-dagster_sso_0=b; __Secure-dagster_sso_1=c",
        }
        with gateway(folder, webservers["/dagster"], **settings) as behind:
            answer = ask(behind.port, "/dagster/runs?a=b", headers | PAGE, client="127.0.0.2")
            path, said = asked[0]
            assert (path, said["host"]) == ("/dagster/runs?a=b", HOST)
            assert said["cookie"] == "other=1; __Host-dagster_sso_0=b; __Host-dagster_sso_1=c"
            assert said["x-web-gateway-client"] == "203.0.113.7"
            assert "x-forwarded-email" not in said
            assert answer.header("set-cookie") == [
                "__Secure-dagster_sso_0=a; Path=/dagster/; HttpOnly; Secure",
                "__Secure-dagster_sso_csrf=a; Path=/dagster/; HttpOnly; Secure",
            ]
            # What it hands back of someone who has logged in.
            back = {"Host": HOST, "X-Forwarded-Email": "ed@example.com"}
            back["X-Web-Gateway-Client"] = said["x-web-gateway-client"]
            assert ask(inside, "/dagster/runs", back | PAGE).status == 200
            line = behind.logged(path="/dagster/runs", status=200)
            assert (line["client"], line["user"]) == ("203.0.113.7", "ed@example.com")


def test_the_cookie_is_the_one_that_the_compose_file_names() -> None:
    compose = (RULES.parents[2] / "docker-compose.yml").read_text()
    assert "OAUTH2_PROXY_COOKIE_NAME: __Host-dagster_sso\n" in compose
