"""docs/first-hour.md, followed as a newcomer does, in both modes, from a clean clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser import needs_browser, new_page
from guide import DOCKER, EMBEDDED, follow
from harness import ARTIFACTS, REPOSITORY, Stack, files, until

pytestmark = pytest.mark.long

GUIDE = REPOSITORY / "docs/first-hour.md"
PICTURES = ARTIFACTS / "docs"
# As the guide has them.
ADDRESS = "https://git.example.com/data/dagster-stack.git"
# What a line says about the browser: go there, click this, see that.
ACTION = re.compile(r"<(http://[^>]+)>|[Cc]lick \*\*([^*]+)\*\*|\*\*([^*]+)\*\*")


class Reader:
    """Does in a browser what lines of the guide say, and takes the guide's pictures."""

    def __init__(self, page: Page, keeps: bool) -> None:
        self.page = page
        self.keeps = keeps

    def look(self, line: str) -> None:
        actions = ACTION.findall(line)
        for number, (url, button, text) in enumerate(actions):
            if url:
                first = next((each[2] or each[1] for each in actions[number + 1 :]), "")
                until(partial(self._open, url, first), seconds=150)
            elif button:
                # "Materialize…" opens a dialog, and "Overview" is not "View".
                named = re.compile(rf"^\s*{re.escape(button)}\s*$")
                self.page.locator("button, a").filter(has_text=named).first.click()
            else:
                expect(self.page.get_by_text(text).first).to_be_visible()

    def _open(self, url: str, text: str) -> None:
        # Chromium gives up a page while interfaces come and go, as those of containers do.
        self.page.goto(url)
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=30_000)

    def keep(self, picture: str) -> None:
        if self.keeps:
            file = PICTURES / picture
            file.parent.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=file, animations="disabled")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, and a shell's environment without what belongs to these tests."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV", "COMPOSE_FILE"):
        monkeypatch.delenv(name, raising=False)
    ours = str(Path(sys.prefix, "bin"))
    path = [each for each in os.environ["PATH"].split(os.pathsep) if each != ours]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.setenv("COLUMNS", "120")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "reader")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "reader@example.invalid")
    # Not pytest's own: the embedded mode's Postgres runs as another user when we are root.
    folder = Path(tempfile.mkdtemp(prefix="first-hour-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def origin(folder: Path) -> Path:
    """What a reader clones: the project as it is now, committed."""
    origin = folder / "origin/dagster-stack.git"
    for name in files():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, origin / name)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    return origin


@needs_browser
@pytest.mark.parametrize("mode", [DOCKER, EMBEDDED])
def test_a_reader_gets_from_the_clone_to_the_end(
    mode: str, folder: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(folder / "dagster-stack", settings={"COMPOSE_FILE": "docker-compose.yml"})
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", stack.project)
    monkeypatch.setenv("WEBSERVER_PORT", str(stack.port))
    monkeypatch.setenv("RPC_SUBNETS", stack.subnets)
    replace = {
        ADDRESS: str(origin),
        "localhost:3000": f"localhost:{stack.port}",
        "dagster-stack/": f"{stack.project}/",
    }
    try:
        with new_page() as page:
            page.set_viewport_size({"width": 1200, "height": 700})
            reader = Reader(page, keeps=mode == DOCKER)
            said = follow(GUIDE, folder, mode, replace, reader)
    finally:
        if mode == DOCKER and stack.folder.exists():
            stack.remove()
    assert "Traceback" not in said
