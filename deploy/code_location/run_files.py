"""Step logs and stored values of runs that were removed from Dagster's database: size, or removal.

usage: run_files.py plan | run

`plan` takes from its input the ids of runs that are to be removed, one on each line.

Only a location can write where its files are, so the location removes them; code_server.py has it
done every hour. What goes are folders of runs that the database names as removed. A run that it does
not know keeps its files: an emptied or restored database must not cost them. In the mode without
Docker the daemon does it, for all locations.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg2

_AT_ONCE = 1000


def folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Folders of runs, among the step logs and the stored values."""
    parents = [Path(environment["DAGSTER_COMPUTE_LOGS_DIR"])]
    if root := environment.get("RETENTION_STORAGE_ROOT"):
        parents += Path(root).glob("*/storage")
    else:
        parents.append(Path(environment["DAGSTER_STORAGE_DIR"]) / "storage")
    for parent in parents:
        if parent.is_dir():
            yield from (Path(each.path) for each in os.scandir(parent) if _is_of_a_run(each))


def _is_of_a_run(entry: os.DirEntry[str]) -> bool:
    try:
        return str(uuid.UUID(entry.name)) == entry.name and entry.is_dir(follow_symlinks=False)
    except ValueError:
        return False


def removed(environment: Mapping[str, str], runs: Sequence[str]) -> set[str]:
    """Of these runs, those that the database names as removed."""
    found: set[str] = set()
    connection = psycopg2.connect(
        host=environment["DAGSTER_POSTGRES_HOST"],
        port=environment["DAGSTER_POSTGRES_PORT"],
        dbname=environment["DAGSTER_POSTGRES_DB"],
        user=environment["DAGSTER_POSTGRES_USER"],
        password=environment["DAGSTER_POSTGRES_PASSWORD"],
        connect_timeout=5,
        application_name="run files",
    )
    try:
        with connection, connection.cursor() as cursor:
            for begin in range(0, len(runs), _AT_ONCE):
                some = list(runs[begin : begin + _AT_ONCE])
                cursor.execute(
                    "SELECT run_id FROM control.removed_run WHERE run_id = ANY (%s)", (some,)
                )
                found.update(run_id for (run_id,) in cursor.fetchall())
    finally:
        connection.close()
    return found


def size(folder: Path) -> int:
    """Bytes that the disk gives to what is below a folder."""
    found = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                found += os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118
            except OSError:
                continue
    return found


def main(task: str, environment: Mapping[str, str] = os.environ) -> int:
    """Print how much there is to remove, or was removed; 1 when that is not known."""
    present = list(folders(environment))
    location = environment.get("DAGSTER_LOCATION_NAME", "all locations")
    try:
        gone = removed(environment, sorted({each.name for each in present}))
    except psycopg2.Error as error:
        print(f"error: {location}: files of runs: {str(error).strip()}", file=sys.stderr)
        return 1
    if task == "plan":
        gone |= set(sys.stdin.read().split())
    going = [each for each in present if each.name in gone]
    total = sum(map(size, going))
    if task == "run":
        for folder in going:
            shutil.rmtree(folder, ignore_errors=True)
    verb = "removed" if task == "run" else "to remove"
    mib = total / 2**20
    print(f"{location}: {len(going)} folders of step logs and values {verb}, {mib:.1f} MiB")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["plan"], ["run"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
