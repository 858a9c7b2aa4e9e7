"""The repository's files at some commit, or as they stand now."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stackctl.docker import ROOT
from stackctl.errors import USAGE, StackctlError


def git(*arguments: str, folder: Path = ROOT) -> str:
    """Run one git command in the repository. Raises StackctlError with its last line."""
    try:
        done = subprocess.run(  # no shell, and arguments of our own
            ["git", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise StackctlError("there is no git command here. Fix: install it") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise StackctlError(f"git {arguments[0]}: {lines[-1] if lines else 'it failed'}")
    return done.stdout


@dataclass(frozen=True)
class Files:
    """The files at ``commit``; "" means those in ``folder`` that git does not ignore."""

    commit: str = ""
    folder: Path = ROOT

    @cached_property
    def paths(self) -> frozenset[str]:
        """All paths, relative to ``folder``."""
        command = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        if self.commit:
            command = ["ls-tree", "-r", "-z", "--full-tree", "--name-only", self.commit]
        listed = filter(None, git(*command, folder=self.folder).split("\0"))
        # What is deleted and not yet committed is listed, too.
        return frozenset(path for path in listed if self.commit or (self.folder / path).is_file())

    def read(self, path: str) -> str:
        """A file's text. Raises StackctlError where there is none."""
        if path not in self.paths:
            raise StackctlError(f"there is no {path} at {self.commit or 'this place'}")
        if self.commit:
            return git("show", f"{self.commit}:{path}", folder=self.folder)
        return (self.folder / path).read_text()


def changed_paths(commit: str, folder: Path = ROOT) -> list[str]:
    """Files added, removed or changed, in content or mode, between ``commit`` and HEAD."""
    listed = git("diff-tree", "-r", "-z", "--name-only", commit, "HEAD", folder=folder)
    return list(filter(None, listed.split("\0")))


def untracked(folder: Path = ROOT) -> list[str]:
    """Files that git does not know, and does not ignore."""
    listed = git("ls-files", "-z", "--others", "--exclude-standard", folder=folder)
    return list(filter(None, listed.split("\0")))


def fork_point(reference: str, folder: Path = ROOT) -> str:
    """Where HEAD's history left that of ``reference``, as in `git diff reference...HEAD`."""
    try:
        git("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}", folder=folder)
        return git("merge-base", reference, "HEAD", folder=folder).strip()
    except StackctlError:
        raise StackctlError(
            f"{reference!r} is not a commit that shares history with HEAD here. Fix: fetch the"
            " whole history (git fetch --unshallow), or name another one",
            USAGE,
        ) from None
