"""The landing zone in a folder. S3 is tested against a real store."""

import errno
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError

from postgres_loader.errors import LandingZoneError, LandingZoneUnavailable
from postgres_loader.landing_zone import FolderLandingZone, S3LandingZone, open_landing_zone

CLOSED_PORT = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("file:///tmp/landing", "file:///tmp/landing/a.csv"),
        ("file:///tmp/with%20space/", "file:///tmp/with%20space/a.csv"),
        ("s3://bucket", "s3://bucket/a.csv"),
        ("s3://bucket/deep/prefix/", "s3://bucket/deep/prefix/a.csv"),
    ],
)
def test_addresses(uri: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert open_landing_zone(uri).uri_of("a.csv") == file


@pytest.mark.parametrize("uri", ["", "/tmp/landing", "file://landing", "s3://", "ftp://host/x"])
def test_other_addresses_are_refused(uri: str) -> None:
    shown = re.escape(repr(uri)) if uri else "not set"
    with pytest.raises(LandingZoneError, match=f"LANDING_ZONE is {shown}; it must be file:///"):
        open_landing_zone(uri)


def test_an_absent_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    zone = open_landing_zone(tmp_path.as_uri())
    (tmp_path / "customer.csv").touch()
    (tmp_path / ".hidden").touch()
    with (
        pytest.raises(LandingZoneError, match=r"customers.csv does not exist; .* customer.csv$"),
        zone.open("customers.csv"),
    ):
        pass


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").mkdir()
    zone = open_landing_zone(tmp_path.as_uri())
    with pytest.raises(LandingZoneError, match="Is a directory"), zone.open("customers.csv"):
        pass


def test_files_are_listed_with_size_time_and_version(tmp_path: Path) -> None:
    zone = open_landing_zone(tmp_path.as_uri())
    (tmp_path / "b.csv").write_text("12345")
    os.utime(tmp_path / "b.csv", (86400, 86400))
    (tmp_path / "a.csv").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "folder").mkdir()
    first, second = zone.files()
    assert [first.name, second.name] == zone.names() == ["a.csv", "b.csv"]
    assert (second.size, second.modified) == (5, datetime(1970, 1, 2, tzinfo=UTC))
    assert zone.info("b.csv") == second
    (tmp_path / "b.csv").write_text("54321")
    os.utime(tmp_path / "b.csv", (86400, 86400))
    changed = zone.info("b.csv")
    assert (changed.size, changed.modified) == (second.size, second.modified)
    assert changed.version != second.version
    with pytest.raises(LandingZoneError, match=r"c.csv does not exist; .* a.csv, b.csv$"):
        zone.info("c.csv")


def test_an_absent_folder_has_no_names_but_cannot_be_listed(tmp_path: Path) -> None:
    zone = open_landing_zone((tmp_path / "gone").as_uri())
    assert zone.names() == []
    with pytest.raises(LandingZoneUnavailable, match="gone is not a folder that exists"):
        zone.files()


def test_folders_are_listed_beside_the_files(tmp_path: Path) -> None:
    zone = open_landing_zone(tmp_path.as_uri())
    (tmp_path / "a.csv").touch()
    for name in ("orders.parquet", "archive", ".hidden"):
        (tmp_path / name).mkdir()
    assert zone.listing().folders == ["archive", "orders.parquet"]
    assert [file.name for file in zone.listing().files] == ["a.csv"]


def test_a_store_that_does_not_answer_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": CLOSED_PORT,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    zone = S3LandingZone("landing", "")
    with pytest.raises(LandingZoneUnavailable, match=f"s3://landing/: .*{CLOSED_PORT}"):
        zone.names()


def refusal(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [
        (refusal(503, "SlowDown"), True),
        (refusal(500, "InternalError"), True),
        (refusal(429, "TooManyRequests"), True),
        (refusal(400, "RequestTimeout"), True),
        (refusal(404, "NoSuchBucket"), True),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (ReadTimeoutError(endpoint_url=CLOSED_PORT), True),
        (refusal(403, "AccessDenied"), False),
        (refusal(404, "NoSuchKey"), False),
    ],
)
def test_what_a_store_answers_while_it_is_away(
    error: Exception, may_pass: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    zone = S3LandingZone("landing", "")
    monkeypatch.setattr(zone, "names", lambda: [])
    with pytest.raises(LandingZoneError) as caught, zone._errors("a.csv"):
        raise error
    assert caught.value.may_pass is may_pass


@pytest.mark.parametrize(
    ("number", "may_pass"), [(errno.ESTALE, True), (errno.EIO, True), (errno.EACCES, False)]
)
def test_what_a_folder_of_another_machine_answers(
    tmp_path: Path, number: int, may_pass: bool
) -> None:
    with pytest.raises(LandingZoneError) as caught, FolderLandingZone(tmp_path)._errors("a.csv"):
        raise OSError(number, "away")
    assert caught.value.may_pass is may_pass
