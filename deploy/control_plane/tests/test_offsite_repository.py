"""The repository's password and keys are stored once all of them are good, and shown nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane import offsite_repository

URL = "s3:https://s3.example.com/bucket"
Type = Callable[..., None]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Answer the questions that come, in this order."""

    def answer(*lines: str) -> None:
        left = iter(lines)
        monkeypatch.setattr("getpass.getpass", lambda _prompt: next(left))

    return answer


def run(folder: Path, url: str = URL, variables: str = "") -> None:
    options = [f"--directory={folder}", f"--variables={variables}"]
    offsite_repository.main([*options, "ask", url])
    offsite_repository.main([*options, "accept", url])


def test_a_password_is_made_once_and_then_stays(
    tmp_path: Path, type_: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    type_(" key ", "secret", "")
    run(tmp_path)
    said = capsys.readouterr().out
    password = (tmp_path / "password").read_text()
    assert len(password) > 40 and f"shown this once: {password}" in said and "secret" not in said
    wanted = "AWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=secret\n"
    assert (tmp_path / "environment").read_text() == wanted
    type_("key", "newer", "")
    run(tmp_path)
    assert (tmp_path / "password").read_text() == password
    assert "newer" in (tmp_path / "environment").read_text()
    assert capsys.readouterr().out == ""
    type_("key", "newer", "one that is known")
    run(tmp_path)
    assert (tmp_path / "password").read_text() == "one that is known"
    assert not any(file.stat().st_mode & 0o077 for file in tmp_path.iterdir())


def test_until_it_is_accepted_the_former_counts(tmp_path: Path, type_: Type) -> None:
    type_("key", "secret", "the former")
    run(tmp_path)
    type_("key", "secret", "one that opens nothing")
    offsite_repository.main([f"--directory={tmp_path}", "ask", URL])
    assert (tmp_path / "password").read_text() == "the former"
    assert (tmp_path / "new/password").read_text() == "one that opens nothing"


@pytest.mark.parametrize(
    ("url", "variables", "lines", "words"),
    [
        (URL, "", ["", "secret", ""], "AWS_ACCESS_KEY_ID is empty"),
        (URL, "", ["key", "sec ret", ""], "AWS_SECRET_ACCESS_KEY is empty or has spaces"),
        ("b2:bucket", "B2_ACCOUNT_ID x", [], "VARIABLES has 'x'"),
    ],
)
def test_nothing_is_stored_of_bad_input(
    tmp_path: Path, type_: Type, url: str, variables: str, lines: list[str], words: str
) -> None:
    type_(*lines)
    with pytest.raises(SystemExit, match=f"error: {words}"):
        run(tmp_path, url, variables)
    assert list(tmp_path.iterdir()) == []


def test_other_kinds_ask_for_what_they_want(tmp_path: Path, type_: Type) -> None:
    type_("id", "key", "password")
    run(tmp_path, "b2:bucket", "B2_ACCOUNT_ID B2_ACCOUNT_KEY")
    assert (tmp_path / "environment").read_text() == "B2_ACCOUNT_ID=id\nB2_ACCOUNT_KEY=key\n"
    type_("password")
    run(tmp_path, "rest:http://host/")
    assert (tmp_path / "environment").read_text() == ""
