"""The folder of a new code location: complete, tested, with a lock file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stackctl import unbundle
from stackctl.bundle_archive import PIP_SETTINGS
from stackctl.errors import StackctlError

_STACKCTL = Path(__file__).resolve().parents[3]
_TEMPLATE = _STACKCTL / "template"
# With the loader: files that come on top of the template's or in their place, files that do not
# come, and lines of pyproject.toml, each put behind another.
_LOADER = _STACKCTL / "template_loader"
_NOT_WITH_LOADER = ("src/__name__/days.py", "__name___days.py", "tests/test_days.py")
_LOADER_LINES = {
    '    "location_kit",\n': '    "postgres_loader",\n',
    'location_kit = {path = "../../packages/location_kit", editable = true}\n': (
        'postgres_loader = {path = "../../packages/postgres_loader", editable = true}\n'
    ),
}
_NAME = "__name__"
_MADE = {".venv", ".dagster", "uv.lock", "build", "dist"}
"""What tools make beside the code that people write."""


def render(name: str, *, loader: bool = False) -> dict[Path, str]:
    """Texts of the new folder's files, by path in it."""
    texts = {path: (_TEMPLATE / path).read_text() for path in _files(_TEMPLATE)}
    if loader:
        texts = {path: text for path, text in texts.items() if not _is_left_out(path)}
        texts |= {path: (_LOADER / path).read_text() for path in _files(_LOADER)}
        for line, new in _LOADER_LINES.items():
            project = Path("pyproject.toml")
            texts[project] = texts[project].replace(line, line + new)
    return {
        Path(str(path).replace(_NAME, name)): text.replace(_NAME, name)
        for path, text in texts.items()
    }


def make(folder: Path, name: str, *, loader: bool = False) -> None:
    """Write the folder, its lock file included; nothing stays of it when that fails."""
    try:
        for path, text in render(name, loader=loader).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        _lock(folder, name, "postgres-loader" if loader else "location-kit")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StackctlError(f"{error.filename}: {error.strerror}") from None
        raise


def work_in(folder: Path, name: str) -> list[str]:
    """Files that are not as the scaffold made them, in either of its forms: somebody's work.

    Sorted.
    """
    present = {path for path in _files(folder)} if folder.is_dir() else set()

    def work(scaffold: dict[Path, str]) -> list[str]:
        return sorted(
            str(path)
            for path in present | scaffold.keys()
            if path not in present
            or (folder / path).read_bytes() != scaffold.get(path, "").encode()
            or path not in scaffold
        )

    return min((work(render(name, loader=loader)) for loader in (False, True)), key=len)


def _files(folder: Path) -> Iterator[Path]:
    """Paths in a folder, without what tools make."""
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not _is_made(each)]
        for name in names:
            if not _is_made(name):
                yield (Path(place) / name).relative_to(folder)


def _is_made(name: str) -> bool:
    made = name in _MADE or name.endswith((".pyc", ".egg-info"))
    return (
        made
        or name == "__pycache__"
        or re.fullmatch(r"\..*_cache|\.tmp_dagster.*", name) is not None
    )


def _is_left_out(path: Path) -> bool:
    return str(path).endswith(_NOT_WITH_LOADER)


def _lock(folder: Path, name: str, package: str) -> None:
    """From the lock file of a location that there is: the same versions, and no network.

    Of one that has the package, if there is one: it has all that the new one needs.
    """
    if (folder.parents[1] / unbundle.WHEELS / PIP_SETTINGS).exists():
        raise StackctlError(
            f"uv lock in {name}: packages come from a bundle here, which does not have those for"
            f" its tests. Fix: where there is a network, make location NAME={name}, git commit,"
            " and make bundle"
        )
    locks = sorted(folder.parent.glob("*/uv.lock"))
    locks.sort(key=lambda path: f'\nname = "{package}"\n' not in path.read_text())
    for path in locks:
        line = re.compile(rf'^name = "{_package(path.parent.name)}"$', re.MULTILINE)
        text = line.sub(f'name = "{_package(name)}"', path.read_text(), count=1)
        (folder / "uv.lock").write_text(text)
        break
    uv = folder.parents[1] / "deploy" / "tools" / "uv"
    done = subprocess.run(  # no shell, and arguments of our own
        [str(uv), "lock", "--quiet", "--project", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip() or "it said nothing").splitlines()[-1].strip()
        raise StackctlError(f"uv lock in {folder.name}: {reason}")


def _package(name: str) -> str:
    """A package's name as lock files write it."""
    return name.replace("_", "-")
