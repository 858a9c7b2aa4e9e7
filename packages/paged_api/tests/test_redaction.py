"""Credentials of URLs do not come into messages."""

import pytest

from paged_api.redaction import redact, scrub


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.example.com/users", "https://api.example.com/users"),
        ("https://me:pw@api.example.com:8443/users", "https://***@api.example.com:8443/users"),
        ("https://token@api.example.com/", "https://***@api.example.com/"),
        ("https://x/users?page=2&per_page=50", "https://x/users?page=2&per_page=50"),
        ("https://x/users?api_key=abc&Page=2&empty=", "https://x/users?api_key=***&Page=2&empty="),
        ("https://x/users?abc#def", "https://x/users?abc"),
        ("https://[x", "(not a URL)"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_scrub() -> None:
    url = "https://me:p%40ssword@x/users?token=a%2Bb%2Bc&page=1234"
    text = "me, p@ssword, p%40ssword, a+b+c, a%2Bb%2Bc, page 1234"
    assert scrub(text, url) == "me, ***, ***, ***, ***, page 1234"


def test_what_is_short_stands_in_any_text() -> None:
    assert scrub("an answer", "https://x/?a=an") == "an answer"
