"""Step logs as the webserver reads them: each location's from a folder that it alone can write.

A location mounts its own folder of the volume, so that its runs write where Dagster's own
LocalComputeLogManager does, and sees no other. The webserver mounts the whole, for reading. What is
in there was made by the locations' code: names lead where they like, and change while one looks.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from dagster import DagsterInstance
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from control_plane.internals.step_logs import (
    DOWNLOAD,
    IO_TYPE_EXTENSION,
    MANAGER,
    MAX_FILENAME_LENGTH,
    CapturedLogSubscription,
    ComputeIOType,
    InstanceRef,
    InstigatorsTable,
    InstigatorState,
    JobTickTable,
    LocalComputeLogManager,
    base_dir,
    deserialize_value,
    non_secure_md5_hash_str,
)

# Of one answer; a log that is longer is read on from where the answer ends.
_MOST_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


def open_below(folder: str, parts: Sequence[str]) -> IO[bytes]:
    """Open a file below ``folder``. Raises FileNotFoundError unless it is a regular file, with no
    link on the way to it: another process may put one there at any moment."""
    if not parts or any(part in {"", ".", ".."} or "/" in part or "\0" in part for part in parts):
        raise FileNotFoundError(f"{parts}: not the path of a step's log")
    try:
        return _open(folder, parts)
    except OSError as error:
        raise FileNotFoundError(f"{'/'.join(parts)}: {error.strerror}") from None


def _open(folder: str, parts: Sequence[str]) -> IO[bytes]:
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        # Without O_NONBLOCK a named pipe would be waited for.
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    raise FileNotFoundError(0, "not a regular file")


class StepLogs(LocalComputeLogManager):
    """Reads a log in the folder of the location that it belongs to, by Dagster's own records."""

    def __init__(self, base_dir: str, polling_timeout: float, inst_data: Any = None) -> None:
        super().__init__(base_dir, polling_timeout, inst_data)
        self.folder = base_dir
        self._polled = _Subscriptions(self)

    def opened(self, log_key: Sequence[str], extension: str) -> IO[bytes]:
        """The log's file. Raises FileNotFoundError when there is none, or none that is a log."""
        path = _path(log_key, extension)
        location = self.location_of(log_key)
        if location is not None:
            with contextlib.suppress(FileNotFoundError):
                return open_below(self.folder, [location, *path])
        # From before there was a folder for each location; no location can write there any more.
        return open_below(self.folder, path)

    def location_of(self, log_key: Sequence[str]) -> str | None:
        """The code location whose process writes this log; None when Dagster knows nothing."""
        instance: DagsterInstance = self._instance
        if len(log_key) != 3:
            return None
        if log_key[1] == "compute_logs" and _is_run_id(log_key[0]):
            run = instance.get_run_by_id(log_key[0])
            origin = run.remote_job_origin if run else None
            return origin.location_name if origin else None
        return _location_of_tick(instance, log_key[2])

    def get_log_data_for_type(
        self,
        log_key: Sequence[str],
        io_type: ComputeIOType,
        offset: int | None = 0,
        max_bytes: int | None = None,
    ) -> tuple[bytes | None, int]:
        """Part of a log, and where the next part begins; no content when there is no log."""
        begin = max(offset or 0, 0)
        try:
            with self.opened(log_key, IO_TYPE_EXTENSION[io_type]) as file:
                file.seek(begin)
                content = file.read(min(max_bytes or _MOST_BYTES, _MOST_BYTES))
                return content, file.tell()
        except FileNotFoundError:
            return None, begin

    def is_capture_complete(self, log_key: Sequence[str]) -> bool:
        """Whether its step has ended."""
        try:
            self.opened(log_key, "complete").close()
        except FileNotFoundError:
            return False
        return True

    def get_captured_local_path(
        self, log_key: Sequence[str], extension: str, partial: bool = False
    ) -> str:
        """Where the log is, to be shown. Nothing opens it by this name."""
        location = self.location_of(log_key) or "?"
        return str(Path(self.folder, location, *_path(log_key, extension)))

    def subscribe(
        self, log_key: Sequence[str], cursor: str | None = None
    ) -> CapturedLogSubscription:
        """Have a log's growth told. Dagster's own watches folders by name, and makes them."""
        subscription = CapturedLogSubscription(self, log_key, cursor)
        self._polled.add(subscription)
        return subscription

    def unsubscribe(self, subscription: CapturedLogSubscription) -> None:
        """Tell no more."""
        self._polled.remove(subscription)

    def delete_logs(
        self, log_key: Sequence[str] | None = None, prefix: Sequence[str] | None = None
    ) -> None:
        """Logs are mounted for reading."""
        raise NotImplementedError("the control plane only reads step logs")

    def dispose(self) -> None:
        """End the thread."""
        self._polled.close()
        super().dispose()


class _Subscriptions:
    """Looks at the logs that somebody follows, for as long as somebody does."""

    def __init__(self, manager: StepLogs) -> None:
        self._manager = manager
        self._guard = threading.Lock()
        self._followed: list[CapturedLogSubscription] = []
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, subscription: CapturedLogSubscription) -> None:
        with self._guard:
            self._followed.append(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="step-logs", daemon=True)
                self._thread.start()

    def remove(self, subscription: CapturedLogSubscription) -> None:
        with self._guard:
            if subscription in self._followed:
                self._followed.remove(subscription)
        subscription.complete()

    def close(self) -> None:
        self._closed.set()

    def _follow(self) -> None:
        while not self._closed.wait(self._manager.polling_timeout):
            with self._guard:
                followed = list(self._followed)
            for subscription in followed:
                # A log that cannot be read now must not keep the others.
                with contextlib.suppress(Exception):
                    ended = self._manager.is_capture_complete(subscription.log_key)
                    subscription.fetch()
                    if ended:
                        self.remove(subscription)


def _path(log_key: Sequence[str], extension: str) -> list[str]:
    """As LocalComputeLogManager names it."""
    *folders, base = log_key
    name = f"{base}.{extension}"
    if len(name) > MAX_FILENAME_LENGTH:
        name = f"{non_secure_md5_hash_str(base.encode())}.{extension}"
    return [*folders, name]


def _is_run_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _location_of_tick(instance: DagsterInstance, tick: str) -> str | None:
    if not tick.isdecimal() or len(tick) > 18:
        return None
    # Dagster has no question for one tick.
    storage: Any = instance.schedule_storage
    query = (
        select(InstigatorsTable.c.instigator_body)
        .join(JobTickTable, JobTickTable.c.selector_id == InstigatorsTable.c.selector_id)
        .where(JobTickTable.c.id == int(tick))
    )
    with storage.connect() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    state = deserialize_value(row[0], InstigatorState)
    return str(state.origin.repository_origin.code_location_origin.location_name)


def keep_apart() -> None:
    """Let this process read step logs by location, where dagster.yaml has LocalComputeLogManager.

    Not a class in dagster.yaml: its name goes to the runs, whose images do not have it. Raises
    Incompatible.
    """
    made: Any = MANAGER.original()
    downloaded = DOWNLOAD.original()

    def manager(ref: InstanceRef) -> Any:
        found = made.fget(ref)
        if type(found) is not LocalComputeLogManager:
            return found
        return StepLogs(base_dir(found), found.polling_timeout, found.inst_data)

    async def download(webserver: Any, request: Request) -> Response:
        with webserver.request_context(request) as context:
            logs = context.instance.compute_log_manager
            if isinstance(logs, StepLogs):
                return _download(logs, request.path_params["path"])
        response: Response = await downloaded(webserver, request)
        return response

    MANAGER.replace(property(manager))
    DOWNLOAD.replace(download)


def _download(logs: StepLogs, path: str) -> Response:
    *log_key, extension = path.split("/")
    try:
        if extension not in IO_TYPE_EXTENSION.values() or not log_key:
            raise FileNotFoundError(path)
        file = logs.opened(log_key, extension)
    except FileNotFoundError:
        raise HTTPException(404, detail="No log files available for download") from None
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in "__".join(log_key))
    return StreamingResponse(
        _chunks(file),
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}.{extension}"'},
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        # What is there now: a log may grow for as long as somebody reads it.
        left = os.fstat(file.fileno()).st_size
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
