"""A guide as a program: its shell blocks run and its files are written, as they stand."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``path`` is the file that the line before it names, or ""."""

    path: str
    language: str
    text: str


def blocks(guide: Path) -> list[Block]:
    """All fenced blocks of a Markdown file."""
    return [Block(*found) for found in _FENCE.findall(guide.read_text())]


def follow(guide: Path, folder: Path) -> str:
    """Do in ``folder`` what the guide says, and return what it printed.

    Blocks of shell run in one shell, as a reader would type them; the first failure ends it with
    an AssertionError.
    """
    said, before = "", ""
    for block in blocks(guide):
        if block.path:
            (folder / block.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.path).write_text(block.text)
        else:
            assert block.language == "sh", f"nobody runs this block of {block.language}"
            said += _run(before, block.text, folder)
            before += _definitions(block.text)
    return said


def _definitions(text: str) -> str:
    """Variables and functions of a block, which later ones use."""
    functions = re.findall(r"^\w+\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    return "".join([*functions, *re.findall(r"^\w+=\S+\n", text, re.MULTILINE)])


def _run(before: str, text: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", before + text],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{text}ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
