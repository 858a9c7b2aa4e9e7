"""alerts.yaml: what is read, and what is refused with which words."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conftest import ROOT, RULES, Folder
from stack_alerts.files import LARGEST_FILE, rule_names
from stack_alerts.settings import SettingsError, parse

NAMES = rule_names(RULES)


def read(text: str) -> object:
    return parse(text, "alerts.yaml", NAMES, {"slack"})


def test_the_stacks_own_file_is_valid() -> None:
    text = (ROOT / "deploy/alerts/alerts.yaml").read_text()
    assert parse(text, "alerts.yaml", NAMES, ()).owner
    # With the options that are commented out.
    options = [line[1:] for line in text.splitlines() if re.match(r"#[a-z ] ?[A-Za-z_]+:", line)]
    found = parse("\n".join(["owner: a", *options]), "alerts.yaml", NAMES, {"slack", "mail"})
    assert found.quiet_hours and found.rule("DiskFills").severity == "info"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("owner: a\nchanels: [x]", "alerts.yaml:2: chanels: an unknown key. Fix: "),
        ("owner: a\n\nchannels: [teams]", "alerts.yaml:3: channels: 'teams' is not a channel"),
        ("channels: [slack]", "alerts.yaml:1: owner: "),
        ("owner: a\nseverity: loud", "alerts.yaml:2: severity: 'loud': "),
        ("owner: a\nconditions:\n  DaemonDaed: false", "alerts.yaml:3: conditions.DaemonDaed: "),
        ("owner: a\nconditions: {RunLong: {factor: 0.5}}", "conditions.RunLong.factor: 0.5: "),
        ("owner: a\nconditions: {RunFailed: {factor: 2}}", "RunFailed.factor: an unknown key"),
        ("owner: a\nquiet_hours: {from: '25:00', to: '07:00'}", "alerts.yaml:2: quiet_hours.from"),
        (
            "owner: a\nquiet_hours: {from: '01:00', to: '07:00', time_zone: Mars/Base}",
            "no time zone has this name",
        ),
        ("owner: [", "alerts.yaml:1 is not YAML: "),
        ("owner: &a b\nchannels: [*a]", "YAML alias"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ("owner: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("", "the file: None: "),
        (f"owner: {'a' * 300}", "alerts.yaml:1: owner: 'aaa"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(text)
    said = str(caught.value)
    assert words in said, said
    assert "Fix: " in said
    assert all(len(line) < 400 for line in said.splitlines())


def test_a_location_uses_its_own_channels_alone(folder: Folder) -> None:
    folder.channel("json://a", "of_stack")
    folder.channel("json://b", "own", "elt")
    folder.write("owner: Team\nchannels: [own]\n", "elt")
    folder.write("owner: Team\nchannels: [of_stack]\n", "analytics")
    folder.write("owner: Team\nchannels: [../elt/own]\n", "sales")
    files = folder.places.load(folder.channels.names())
    assert set(files.locations) == {"elt"}
    assert "'of_stack' is not a channel of its own" in files.problems["analytics"]
    assert set(files.problems) == {"analytics", "sales"}
    assert files.audience("elt") == "elt"
    assert files.audience("analytics") == files.audience("unheard_of") == ""


def test_a_file_that_is_none_stops_nobody(folder: Folder, tmp_path: Path) -> None:
    folder.write("owner: Team\n", "elt")
    secret = tmp_path / "secret"
    secret.write_text("owner: hunter2\n")
    (folder.path / "code_locations/links").mkdir()
    (folder.path / "code_locations/links/alerts.yaml").symlink_to(secret)
    (folder.path / "code_locations/linked").symlink_to(folder.path / "code_locations/elt")
    (folder.path / "code_locations/pipe").mkdir()
    os.mkfifo(folder.path / "code_locations/pipe/alerts.yaml")
    folder.write("#" * (LARGEST_FILE + 1), "large")
    folder.write("owner: a", "latin").write_bytes(b"owner: \xff")
    files = folder.places.load({})
    assert set(files.locations) == {"elt"}
    assert set(files.problems) == {"links", "pipe", "large", "latin"}
    assert "hunter2" not in str(files.problems)


def test_the_stacks_own_file_must_be_there(folder: Folder) -> None:
    (folder.path / "alerts.yaml").unlink()
    with pytest.raises(SettingsError, match=r"deploy/alerts/alerts.yaml is missing. Fix: "):
        folder.places.load({})


def test_quiet_hours_go_over_midnight_in_their_zone() -> None:
    found = parse(
        "owner: a\nquiet_hours: {from: 22:00, to: 07:00, time_zone: America/New_York}",
        *("alerts.yaml", NAMES, ()),
    )
    assert found.quiet_hours
    at = [
        found.quiet_hours.contain(datetime(2026, 1, 15, hour, minute, tzinfo=UTC))
        for hour, minute in ((2, 59), (3, 0), (11, 59), (12, 0))
    ]
    assert at == [False, True, True, False]


def test_jobs_assets_and_severity_by_condition() -> None:
    found = parse(
        "owner: a\nconditions:\n  AssetStale: {assets: ['marts/*']}\n"
        "  RunFailed: {jobs: [load_*]}\n  RunLong: false\n",
        *("alerts.yaml", NAMES, ()),
    )
    assert found.wants("AssetStale", "", "marts/a") and not found.wants("AssetStale", "", "raw/a")
    assert found.wants("RunFailed", "load_a", "") and not found.wants("RunFailed", "other", "")
    assert not found.wants("RunLong", "load_a", "")
    # A rule that somebody added to Prometheus.
    assert found.wants("OfTheirOwn", "", "")
