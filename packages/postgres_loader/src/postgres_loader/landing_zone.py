"""The landing zone: the folder or S3 prefix where other systems put files for us."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from postgres_loader.errors import LandingZoneError, LandingZoneUnavailable, NoSuchFile

# What a folder of another machine answers while that is away.
_AWAY = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EAGAIN}


class Readable(Protocol):
    """A stream of bytes; `read(size)` gives fewer than `size` only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class FileInfo:
    """A file as the landing zone lists it.

    `size` in bytes; `version` is another one whenever the file was written, replaced, or deleted
    and put again, also with the same content, size and time; `modified` in UTC.
    """

    name: str
    size: int
    version: str
    modified: datetime


class Listing(NamedTuple):
    """What is right in a landing zone, sorted by name: files, and names of folders."""

    files: list[FileInfo]
    folders: list[str]


class LandingZone(Protocol):
    """Files by name. Every method raises LandingZoneError with the file's URI in its message.

    `files_are_whole` says that a file is listed only when all of it is there. Where that is not
    so, a file whose version changes is still being written.
    """

    files_are_whole: bool

    def uri_of(self, name: str) -> str:
        """Address of a file, for readers of messages."""

    def names(self) -> list[str]:
        """Names of the files right in the landing zone, sorted; hidden ones left out."""

    def files(self) -> list[FileInfo]:
        """The same files with what is known of them; a landing zone that is absent is an error."""

    def listing(self) -> Listing:
        """The same files, and the folders beside them."""

    def info(self, name: str) -> FileInfo:
        """What is known of one file."""

    def open(self, name: str) -> contextlib.AbstractContextManager[Readable]:
        """The file's bytes as a stream; no more than what is read is held in memory."""

    def put(self, name: str, content: Path) -> None:
        """Store a local file under `name`; readers see all of it or nothing."""


class FolderLandingZone:
    """A landing zone in a local folder."""

    files_are_whole = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def uri_of(self, name: str) -> str:
        return (self._folder / name).as_uri()

    def names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return [file.name for file in self.files()]

    def files(self) -> list[FileInfo]:
        return self.listing().files

    def listing(self) -> Listing:
        if not self._folder.is_dir():
            raise LandingZoneUnavailable(f"{self.uri_of('')} is not a folder that exists")
        found, folders = [], []
        with self._errors(""), os.scandir(self._folder) as entries:
            for entry in entries:
                # A file may go between the listing and the look at it.
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.startswith("."):
                        continue
                    if entry.is_file():
                        found.append(_local_info(entry.name, Path(entry.path).stat()))
                    elif entry.is_dir():
                        folders.append(entry.name)
        return Listing(sorted(found, key=lambda file: file.name), sorted(folders))

    def info(self, name: str) -> FileInfo:
        with self._errors(name):
            return _local_info(name, (self._folder / name).stat())

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        with self._errors(name):
            stream = (self._folder / name).open("rb")
        with stream:
            yield stream

    def put(self, name: str, content: Path) -> None:
        with self._errors(name):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / f".{name}.unfinished"
            shutil.copyfile(content, unfinished)
            unfinished.replace(self._folder / name)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise no_such_file(self, name) from None
        except OSError as error:
            uri = self.uri_of(name)
            kind = LandingZoneUnavailable if error.errno in _AWAY else LandingZoneError
            raise kind(f"{uri}: {error.strerror}", file=uri) from None


class S3LandingZone:
    """A landing zone in an S3 bucket, under a prefix; boto3's own settings say where and who."""

    files_are_whole = True

    def __init__(self, bucket: str, prefix: str) -> None:
        # Imported here: it costs as much as the rest of the location, and a folder needs none.
        import boto3
        from botocore.config import Config

        self._bucket = bucket
        self._prefix = prefix
        self._client: Any = boto3.client(
            "s3",
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 5},
            ),
        )

    def uri_of(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def names(self) -> list[str]:
        return [file.name for file in self.files()]

    def files(self) -> list[FileInfo]:
        return self.listing().files

    def listing(self) -> Listing:
        found, folders = [], []
        with self._errors(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix, Delimiter="/"
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(self._prefix)
                    if name and not name.startswith("."):
                        found.append(_object_info(name, entry["Size"], entry))
                for entry in page.get("CommonPrefixes", []):
                    folders.append(entry["Prefix"].removeprefix(self._prefix).rstrip("/"))
        return Listing(sorted(found, key=lambda file: file.name), sorted(folders))

    def info(self, name: str) -> FileInfo:
        with self._errors(name):
            head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        return _object_info(name, head["ContentLength"], head)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        with self._errors(name):
            key = self._prefix + name
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            with contextlib.closing(body):
                yield body

    def put(self, name: str, content: Path) -> None:
        with self._errors(name), content.open("rb") as stream:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=stream)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            HTTPClientError,
            IncompleteReadError,
        )
        from botocore.exceptions import ConnectionError as NoConnectionError

        uri = self.uri_of(name)
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            # HEAD has no body to give a code in.
            if code == "NoSuchKey" or (name and code == "404"):
                raise no_such_file(self, name) from None
            # A store that has just started may not have made its buckets yet.
            kind = LandingZoneError
            if code in ("NoSuchBucket", "RequestTimeout") or status == 429 or status >= 500:
                kind = LandingZoneUnavailable
            raise kind(f"{uri}: {error}", file=uri) from None
        except (HTTPClientError, IncompleteReadError, NoConnectionError) as error:
            raise LandingZoneUnavailable(f"{uri}: {error}", file=uri) from None
        except BotoCoreError as error:
            raise LandingZoneError(f"{uri}: {error}", file=uri) from None


def open_landing_zone(uri: str) -> LandingZone:
    """The landing zone at `file:///folder` or `s3://bucket[/prefix]`.

    Raises LandingZoneError for any other address; touches neither disk nor network.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FolderLandingZone(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        prefix = parts.path.strip("/")
        return S3LandingZone(parts.netloc, f"{prefix}/" if prefix else "")
    raise LandingZoneError(
        f"LANDING_ZONE is {repr(uri) if uri else 'not set'}; it must be file:///folder or"
        " s3://bucket[/prefix]"
    )


def _local_info(name: str, stat: os.stat_result) -> FileInfo:
    # The inode's change time cannot be set: it tells apart what a copy with an old modification
    # time, or another content of the same size, would make look the same.
    version = f"{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_size}-{stat.st_ino}"
    return FileInfo(name, stat.st_size, version, datetime.fromtimestamp(stat.st_mtime, UTC))


def _object_info(name: str, size: int, answer: dict[str, Any]) -> FileInfo:
    modified = answer["LastModified"].astimezone(UTC)
    # The ETag is the content's; an older content that is put again is a new version still. Some
    # stores give fractions of the second in listings only.
    etag = answer["ETag"].strip('"')
    version = f"{etag}-{int(modified.timestamp())}"
    return FileInfo(name, size, version, modified)


def no_such_file(zone: LandingZone, name: str) -> NoSuchFile:
    """The error for a file that is not there; names those that are."""
    uri = zone.uri_of(name)
    present = ", ".join(zone.names()[:20]) or "no files at all"
    return NoSuchFile(f"{uri} does not exist; the landing zone holds {present}", file=uri)
