"""The files that name a code location, changed all together or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stackctl.docker import COMPOSE_FILE, DockerError, docker
from stackctl.errors import StackctlError
from stackctl.location import compose_file, lists

_EMBEDDED = "deploy/embedded/locations.toml"
_FILES = (COMPOSE_FILE, "workspace.yaml", "dg.toml", ".env.example", _EMBEDDED)


@dataclass(frozen=True)
class Project:
    """The repository's files as texts, by name."""

    root: Path
    texts: Mapping[str, str]

    @classmethod
    def read(cls, root: Path) -> Project:
        """Raises StackctlError naming the file that cannot be read."""
        texts = {}
        for name in _FILES:
            try:
                # Line ends stay as they are.
                texts[name] = (root / name).read_bytes().decode()
            except (OSError, UnicodeDecodeError) as error:
                raise StackctlError(f"{name}: {error}") from None
        return cls(root, texts)

    @property
    def compose(self) -> dict[str, Any]:
        """docker-compose.yml as data. Raises StackctlError when it is none."""
        try:
            return dict(YAML(typ="safe").load(self.texts[COMPOSE_FILE]))
        except (YAMLError, TypeError, ValueError):
            raise StackctlError(f"{COMPOSE_FILE} is not valid YAML") from None

    def folder(self, name: str) -> Path:
        """Where a location's code is."""
        return self.root / "code_locations" / name

    def with_location(self, name: str, *, loader: bool = False) -> Project:
        """The same with one location more; with the ``loader``, it has a landing zone."""
        texts = self.texts
        before = compose_file.locations(texts[COMPOSE_FILE])
        return self._changed(
            compose_file.add(texts[COMPOSE_FILE], name, loader=loader),
            lists.add_to_workspace(texts["workspace.yaml"], name),
            lists.add_to_dg(texts["dg.toml"], name),
            lists.add_to_settings(texts[".env.example"], name, before, loader=loader),
            lists.add_to_embedded(texts[_EMBEDDED], name) if loader else texts[_EMBEDDED],
        )

    def without_location(self, name: str) -> Project:
        """The same with one location less."""
        texts = self.texts
        return self._changed(
            compose_file.remove(texts[COMPOSE_FILE], name),
            lists.remove_from_workspace(texts["workspace.yaml"], name),
            lists.remove_from_dg(texts["dg.toml"], name),
            lists.remove_from_settings(texts[".env.example"], name),
            lists.remove_from_embedded(texts[_EMBEDDED], name),
        )

    def check(self, services: set[str]) -> None:
        """Raise StackctlError unless the texts hold, with exactly these services."""
        found = set(self.compose["services"])
        if found != services:
            raise StackctlError(
                f"{COMPOSE_FILE}: the change would touch {', '.join(sorted(found ^ services))}"
            )
        if shutil.which("docker"):
            whole = ("-f", "-", "--project-directory", str(self.root), "config", "--quiet")
            try:
                docker("compose", *whole, given=self.texts[COMPOSE_FILE])
            except DockerError as error:
                raise StackctlError(f"{COMPOSE_FILE} would be invalid: {error}") from None

    def write(self) -> None:
        """Make the files as the texts are."""
        for name, text in self.texts.items():
            path = self.root / name
            if path.read_bytes() != text.encode():
                _replace(path, text)

    @contextmanager
    def put_back_on_failure(self) -> Iterator[None]:
        """Files as these texts are, when what is done meanwhile ends by an exception."""
        try:
            yield
        except BaseException:
            self.write()
            raise

    def _changed(self, *texts: str) -> Project:
        return Project(self.root, dict(zip(_FILES, texts, strict=True)))


def _replace(path: Path, text: str) -> None:
    """In one step, with the mode that the file has."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(text.encode())
        shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StackctlError(f"{path.name} cannot be written: {error.strerror}") from None
