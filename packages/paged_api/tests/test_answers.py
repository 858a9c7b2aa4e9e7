"""Answers of a real HTTP server that are too large, broken off, or not JSON."""

import dataclasses
import gzip
import socket
import threading

import pytest
from pytest_httpserver import HTTPServer
from server import ADA, BOB, LINKED, PATIENT, fetch, read

from paged_api import ApiError, client
from paged_api.client import RETRIES


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)


@pytest.mark.parametrize("packed", [False, True])
def test_no_more_bytes_than_the_limit(httpserver: HTTPServer, packed: bool) -> None:
    body = b'[{"id": 1, "name": "' + b"x" * 1_000_000 + b'"}]'
    content, headers = (gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else (body, {})
    httpserver.expect_request("/users").respond_with_data(content, headers=headers)
    enough = dataclasses.replace(PATIENT, max_bytes=len(body))
    assert fetch(httpserver, enough).bytes_read == len(body)
    with pytest.raises(ApiError, match=f"more than {len(body) - 1} bytes, the limit for all"):
        fetch(httpserver, dataclasses.replace(PATIENT, max_bytes=len(body) - 1))


def test_the_bytes_of_all_pages_count(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users", query_string="page=2").respond_with_json([BOB])
    httpserver.expect_request("/users").respond_with_json(
        [ADA], headers={"Link": "<?page=2>; rel=next"}
    )
    size = fetch(httpserver, pagination=LINKED).bytes_read
    with pytest.raises(ApiError, match="page 2: failed: more than"):
        fetch(httpserver, dataclasses.replace(PATIENT, max_bytes=size - 1), pagination=LINKED)


class BreakingServer:
    """Answers each connection with the next of the given bytes, and closes it."""

    def __init__(self, *answers: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answers = answers
        self.asked = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._socket.accept()
            with connection:
                connection.recv(65536)
                self.asked += 1
                connection.sendall(answer)

    def close(self) -> None:
        self._socket.close()


LENGTH = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n[{"id": 1}]'
CHUNKS = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n[{"id": 1}]\r\n0\r\n\r\n'


@pytest.mark.parametrize("broken", [LENGTH[:-1], CHUNKS[:-5], CHUNKS[:-9]])
def test_an_answer_that_breaks_off_is_asked_for_again(broken: bytes) -> None:
    server = BreakingServer(broken, LENGTH)
    assert read(server.url, PATIENT).records == [{"id": 1}]
    assert server.asked == 2
    server.close()


def test_answers_that_always_break_off() -> None:
    server = BreakingServer(*[LENGTH[:-1]] * 9)
    with pytest.raises(ApiError, match=r"failed after 5 attempts: .*IncompleteRead"):
        read(server.url, PATIENT)
    assert server.asked == 1 + RETRIES
    server.close()


def test_json_that_ends_too_early_without_a_length_to_tell() -> None:
    server = BreakingServer(b'HTTP/1.0 200 OK\r\n\r\n[{"id": 1}, {"na')
    with pytest.raises(ApiError, match="not JSON: Unterminated string"):
        read(server.url, PATIENT)
    server.close()


@pytest.mark.parametrize(
    ("body", "kind", "complaint"),
    [
        (
            b"<html>Sign in</html>",
            "text/html",
            r"not JSON: .*; the answer \(text/html, 20 bytes\) begins '<html>Sign in</html>'",
        ),
        (b"", "application/json", r"not JSON: .*\(application/json, 0 bytes\) begins ''"),
        (b'[{"id": 1},', "application/json", "not JSON: Expecting value"),
        (b'[{"id": NaN}]', "application/json", "not JSON: NaN is not a JSON value"),
        (b'[{"id": ' + b"9" * 5000 + b"}]", "application/json", "not JSON: "),
        (b"[" * 200_000, "application/json", "not JSON: "),
        (b'[{"n": "\xff"}]', "application/json", "not JSON: 'utf-8' codec can't decode"),
        (b'[{"n": "\xff"}]', "text/json; charset=klingon", "not JSON: unknown encoding: klingon"),
    ],
)
def test_answers_that_are_not_json(
    httpserver: HTTPServer, body: bytes, kind: str, complaint: str
) -> None:
    httpserver.expect_request("/users").respond_with_data(body, content_type=kind)
    with pytest.raises(ApiError, match=complaint) as caught:
        fetch(httpserver)
    assert len(str(caught.value)) < 1000
    assert caught.value.details["status"] == 200


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        ("utf-8", "application/json"),
        ("utf-8", "text/html; charset=iso-8859-1"),
        ("utf-8-sig", "application/octet-stream"),
        ("utf-16", "application/json"),
        ("iso-8859-1", "application/json; charset=ISO-8859-1"),
    ],
)
def test_encodings_and_types(httpserver: HTTPServer, encoding: str, kind: str) -> None:
    body = '[{"id": 1, "name": "Łódź"}]'.replace("Łódź", "Århus" if "8859" in encoding else "Łódź")
    httpserver.expect_request("/users").respond_with_data(body.encode(encoding), content_type=kind)
    assert fetch(httpserver).records[0]["name"] in body
