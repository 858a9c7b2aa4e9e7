"""Channels of alerts are files; their URLs are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane import alert_channels

URL = "json://user:of-the-test@example.com/hook"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where channels are; who is asked for a URL gives this one."""
    monkeypatch.setattr("getpass.getpass", lambda _prompt: f" {URL}\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> None:
    alert_channels.main([f"--directory={folder}", *arguments])


def test_of_the_stack_and_of_a_location(ask: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(ask, "add", "hook")
    run(ask, "add", "hook", "elt")
    files = {str(path.relative_to(ask)): path for path in ask.rglob("hook")}
    assert files.keys() == {"stack/hook", "locations/elt/hook"}
    for file in files.values():
        assert file.read_text() == URL
        assert not file.stat().st_mode & 0o077
    run(ask, "remove", "hook", "elt")
    assert not files["locations/elt/hook"].exists() and files["stack/hook"].exists()
    said = capsys.readouterr()
    assert "of-the-test" not in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "../slack"], "NAME is '../slack': use lower-case letters"),
        (["add", "slack", "a/b"], "LOCATION is 'a/b': use"),
        (["remove", "mail"], "there is no channel 'mail' there"),
    ],
)
def test_names_that_are_none(ask: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        run(ask, *arguments)
    assert not list(ask.rglob("*"))


@pytest.mark.parametrize("text", ["", "slack", "json://a b"])
def test_what_is_no_url_changes_nothing(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: text)
    with pytest.raises(SystemExit, match="not an Apprise URL"):
        run(tmp_path, "add", "slack")
    assert not list(tmp_path.rglob("*"))
