"""A company's network for tests: a package mirror by TLS that only its proxy can reach."""

from __future__ import annotations

import base64
import re
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

MIRROR = "pypi.company.test"
USER, PASSWORD = "builder", "planted-mirror-password"
_UPSTREAM = "https://pypi.org/simple"


@dataclass
class Company:
    """What a `.env` needs to know, and what was asked for."""

    authority: Path
    proxy: str
    asked: list[str] = field(default_factory=list)
    tunnels: list[str] = field(default_factory=list)

    @property
    def index(self) -> str:
        """The mirror, without the password."""
        return f"https://{MIRROR}/simple"


def _certificates(folder: Path) -> tuple[Path, Path]:
    """An authority of its own, and the mirror's certificate with its key."""
    authority, key, mirror = (folder / name for name in ("company.crt", "ca.key", "mirror.pem"))
    # Python 3.13 takes no authority without it.
    signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    elliptic = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    commands: tuple[list[str | Path], ...] = (
        [
            *elliptic,
            "-keyout",
            key,
            "-out",
            authority,
            "-subj",
            "/CN=Company",
            "-days",
            "2",
            *signs,
        ],
        [
            *(*elliptic, "-keyout", mirror, "-out", folder / "leaf.crt", "-subj", f"/CN={MIRROR}"),
            *("-CA", authority, "-CAkey", key, "-days", "1"),
            *("-addext", f"subjectAltName=DNS:{MIRROR}", "-addext", "basicConstraints=CA:FALSE"),
        ],
    )
    for command in commands:
        subprocess.run(["openssl", "req", "-x509", *command], check=True, capture_output=True)
    mirror.write_text(mirror.read_text() + (folder / "leaf.crt").read_text())
    return authority, mirror


class _Mirror(BaseHTTPRequestHandler):
    """PyPI's pages and files, for those who know the password."""

    company: Company

    def do_GET(self) -> None:
        self.company.asked.append(self.path)
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.path == "/open":
            return self._answer(200, b"reached")
        if self.headers.get("Authorization") != f"Basic {expected}":
            return self._answer(401, b"", ("WWW-Authenticate", "Basic realm=mirror"))
        path = self.path.partition("#")[0]
        if path.startswith("/files/"):
            found = httpx.get(f"https://{path.removeprefix('/files/')}", timeout=60)
            return self._answer(found.status_code, found.content)
        page = httpx.get(f"{_UPSTREAM}{path.removeprefix('/simple')}", timeout=60)
        text = re.sub(r'href="https://', 'href="/files/', page.text)
        return self._answer(page.status_code, text.encode(), ("Content-Type", "text/html"))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Proxy(BaseHTTPRequestHandler):
    """Knows one name that nobody else knows."""

    company: Company
    mirror_port: int

    def do_CONNECT(self) -> None:
        self.company.tunnels.append(self.path)
        if self.path != f"{MIRROR}:443":
            return self.send_error(403)
        with closing(socket.create_connection(("127.0.0.1", self.mirror_port))) as mirror:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: mirror, mirror: self.connection}
            while True:
                for end in select.select(list(ends), [], [], 60)[0]:
                    data = end.recv(65536)
                    if not data:
                        return None
                    ends[end].sendall(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def company(folder: Path, bridge: str) -> Iterator[Company]:
    """The network; containers reach its proxy at ``bridge``, an address of this machine."""
    authority, certificate = _certificates(folder)
    found = Company(authority, "")
    mirror = ThreadingHTTPServer(("127.0.0.1", 0), type("Mirror", (_Mirror,), {"company": found}))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    mirror.socket = tls.wrap_socket(mirror.socket, server_side=True)
    with _served(mirror) as mirror_port:
        known = {"company": found, "mirror_port": mirror_port}
        proxy = ThreadingHTTPServer((bridge, 0), type("Proxy", (_Proxy,), known))
        with _served(proxy) as port:
            found.proxy = f"http://{bridge}:{port}"
            yield found
