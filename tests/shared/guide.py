"""A guide as a program: its commands run, its files are written, and what it shows is compared.

What is what in a guide:

- A block of ``sh`` is run, all blocks in one shell, as a reader would type them.
- A block of ``text`` after it is what the reader sees: its lines occur in the output, in this
  order; ``…`` stands for anything. With make's ``***`` the command must fail, else it may not.
- A block after a line that is only a file's name is that file: "`folder/file.py`:".
- A block after "With Docker:" or "Without Docker:" is for readers of that mode alone.
- A line with an address of localhost in <> says what to do in the browser; a picture after it is
  what the browser shows then.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

DOCKER, EMBEDDED = "With Docker", "Without Docker"
# Keeps its terminal: it runs beside what follows.
STAYS = "make dev\n"
STAYS_S = 300
_PART = re.compile(
    r"(?:^(?P<label>[^\n]+):\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
    r"|^(?P<look>[^\n]*<http://localhost:[^>\n]*>[^\n]*)$"
    r"|^!\[[^\]\n]*\]\((?P<picture>images/[^)\n]+)\)$",
    re.MULTILINE | re.DOTALL,
)
_COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Browser(Protocol):
    """Who does what a guide says about the browser."""

    def look(self, line: str) -> None:
        """Do what a line says."""

    def keep(self, picture: str) -> None:
        """Keep a picture of what is shown now, under the name that the guide has for it."""


@dataclass
class Step:
    """Something that the reader does; ``shown`` is what the guide says about the result."""

    kind: str
    text: str
    path: str = ""
    shown: str = ""


def steps(text: str, mode: str) -> list[Step]:
    """What a reader of ``mode`` does: commands ("sh"), files ("file"), looks and pictures."""
    found: list[Step] = []
    is_mine = True
    for part in _PART.finditer(text):
        label, language, content, look = part.group("label", "language", "text", "look")
        if part["picture"]:
            found.append(Step("picture", part["picture"]))
            continue
        if look:
            if not look.startswith((DOCKER, EMBEDDED)) or look.startswith(f"{mode}:"):
                found.append(Step("look", look))
            continue
        if language == "text":  # Belongs to the command before it.
            if is_mine:
                found[-1].shown += content
            continue
        is_mine = label not in {DOCKER, EMBEDDED} or label == mode
        path = re.fullmatch(r"`([^`]+)`", label or "")
        if path:
            found.append(Step("file", content, path[1]))
        elif is_mine:
            assert language == "sh", f"nobody runs this block of {language}:\n{content}"
            found.append(Step("sh", content))
    return found


def follow(
    guide: Path,
    folder: Path,
    mode: str = "",
    replace: Mapping[str, str] | None = None,
    browser: Browser | None = None,
) -> str:
    """Do from ``folder`` on what the guide says, and return what the commands printed.

    ``replace`` has words of the guide, and what to read in their place. Raises AssertionError where
    something is not as the guide says.
    """
    text = guide.read_text()
    for word, other in (replace or {}).items():
        assert word in text, word
        text = text.replace(word, other)
    with Reader(folder) as reader:
        for step in steps(text, mode):
            print(f"---- {step.kind} {step.path}\n{step.text}", flush=True)
            if step.kind == "sh":
                reader.run(step)
            elif step.kind == "file":
                reader.write(step)
            else:
                assert browser, f"no browser to look: {step.text}"
                browser.look(step.text) if step.kind == "look" else browser.keep(step.text)
    return reader.said


@dataclass
class Reader:
    """Somebody with a shell, which keeps its folder, variables and functions."""

    folder: Path
    said: str = ""
    definitions: str = ""
    staying: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.staying:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(120)

    def write(self, step: Step) -> None:
        """Write a file as the guide has it."""
        file = self.folder / step.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.text)

    def run(self, step: Step) -> None:
        """Run a block, and compare its end and its output with what the guide shows."""
        if step.text == STAYS:
            self._stay(step)
            return
        with tempfile.NamedTemporaryFile("r") as place:
            # After the block: where the shell is now.
            block = f"{self.definitions}{step.text}\npwd >{place.name}\n"
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            # A block that failed has not said it.
            self.folder = Path(place.read().strip() or self.folder)
        self.definitions += "".join(_definitions(step.text))
        self.said += done.stdout
        print(done.stdout, flush=True)
        is_to_fail = "***" in step.shown
        assert (done.returncode != 0) == is_to_fail, (
            f"{step.text}ended with {done.returncode}:\n{done.stdout}"
        )
        missing = first_missing(step.shown, done.stdout)
        assert not missing, f"{step.text}does not show {missing!r}, but:\n{done.stdout}"

    def _stay(self, step: Step) -> None:
        """Run a block beside the others, once it has shown what the guide says."""
        output = self.folder.parent / "staying.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", step.text],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.staying.append(process)
        end = time.monotonic() + STAYS_S
        while missing := first_missing(step.shown, output.read_text()):
            problem = "ended" if process.poll() is not None else f"not within {STAYS_S} s"
            assert process.poll() is None and time.monotonic() < end, (
                f"{step.text}{problem}, and does not show {missing!r}, but:\n{output.read_text()}"
            )
            time.sleep(0.2)
        self.said += output.read_text()


def first_missing(shown: str, output: str) -> str:
    """The first line of ``shown`` that is not in the output after those before it, or ""."""
    lines = iter([_plain(line) for line in _COLOR.sub("", output).splitlines()])
    for line in filter(None, map(_plain, shown.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        if not any(pattern.fullmatch(other) for other in lines):
            return line
    return ""


def _plain(line: str) -> str:
    """Widths of columns depend on the terminal."""
    return " ".join(line.split())


def _definitions(text: str) -> Iterator[str]:
    """Variables and functions of a block, which later ones use."""
    yield from re.findall(r"^\w+\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^\w+=\S+\n", text, re.MULTILINE)
