"""The README's example, run as it stands against a server of the tests."""

import re
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

README = Path(__file__).parents[1] / "README.md"
ADDRESS = "https://api.example.com"


def test_the_example_runs(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert ADDRESS in program
    last = {"data": [{"id": 2, "name": "fig"}], "links": {"next": None}}
    httpserver.expect_request("/v1/products", query_string="page=2").respond_with_json(last)
    httpserver.expect_request("/v1/products").respond_with_json(
        {"data": [{"id": 1, "name": "kiwi"}], "links": {"next": "/v1/products?page=2"}}
    )
    exec(program.replace(ADDRESS, httpserver.url_for("").rstrip("/")), {})  # noqa: S102
    assert capsys.readouterr().out == "1 kiwi\n2 fig\n2 records on 2 pages\n"
