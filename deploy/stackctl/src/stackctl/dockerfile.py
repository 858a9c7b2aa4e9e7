"""A Dockerfile, as far as it says which files of its contexts an image is made of.

What could change that answer and is not understood here is refused: a guess would leave an image
unbuilt that has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from stackctl.errors import StackctlError

_WAY_OUT = "Way out: write it in a plainer way, or teach deploy/stackctl/src/stackctl/dockerfile.py"
_DIRECTIVE = re.compile(r"#\s*(syntax|escape)\s*=", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_COPY_FLAGS = {"from", "chown", "chmod", "link"}


@dataclass(frozen=True)
class Source:
    """Files that an instruction reads: ``path`` (with * and ?) in a context; "" is the main one."""

    context: str
    path: str


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, its --flags, and the rest."""

    name: str
    flags: tuple[tuple[str, str], ...]
    value: str

    def flag(self, name: str) -> str:
        """The value of a flag that stands once; "" without it."""
        return dict(self.flags).get(name, "")


@dataclass(frozen=True)
class Stage:
    """What stands between one FROM and the next."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile. ``path`` is for messages."""

    path: str
    text: str

    def refuse(self, what: str) -> StackctlError:
        """What to raise when the file has something that is not understood."""
        return StackctlError(f"{self.path}: {what} is not understood. {_WAY_OUT}")

    @cached_property
    def directives(self) -> tuple[str, ...]:
        """Comments that change how the file is read."""
        lines = [line.strip() for line in self.text.splitlines()]
        found = tuple(line for line in lines if _DIRECTIVE.match(line))
        if any("escape" in line for line in found):
            raise self.refuse("the directive escape")
        return found

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions; continued lines are joined, comments are gone."""
        found, joined = [], ""
        for line in self.text.splitlines():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            found.append(_instruction(joined))
            joined = ""
        for one in found:
            if one.name == "ONBUILD" or (one.name in {"RUN", "COPY", "ADD"} and "<<" in one.value):
                raise self.refuse(f"{one.name} {one.value[:40]!r}")
        return tuple(found)

    @cached_property
    def global_arguments(self) -> Mapping[str, str]:
        """What ARG says before the first FROM."""
        found: dict[str, str] = {}
        for one in self.instructions:
            if one.name == "FROM":
                break
            name, _, default = one.value.partition("=")
            found[name] = default
        return found

    def stages(self, arguments: Mapping[str, str]) -> list[Stage]:
        """All stages, in order, with the build's arguments filled into FROM."""
        found: list[Stage] = []
        for one in self.instructions:
            if one.name == "FROM":
                base, _, name = re.sub(r"\s+[aA][sS]\s+", " AS ", one.value).partition(" AS ")
                found.append(Stage(name.lower(), self._filled(base, arguments), (one,)))
            elif found:
                last = found[-1]
                found[-1] = Stage(last.name, last.base, (*last.instructions, one))
        if not found:
            raise self.refuse("a file without FROM")
        return found

    def needed(self, target: str, arguments: Mapping[str, str]) -> list[Stage]:
        """The stages that a target ("": the last one) is made of, itself included, in order."""
        stages = self.stages(arguments)
        by_name = {stage.name: stage for stage in stages if stage.name}
        if target and target.lower() not in by_name:
            raise StackctlError(f"{self.path}: there is no stage {target!r}")
        waiting, found = [by_name[target.lower()] if target else stages[-1]], []
        while waiting:
            stage = waiting.pop()
            if stage in found:
                continue
            found.append(stage)
            origins = {stage.base, *(source.context for source in self.sources(stage))}
            waiting += [by_name[name.lower()] for name in origins if name.lower() in by_name]
        return [stage for stage in stages if stage in found]

    def sources(self, stage: Stage) -> Iterator[Source]:
        """What a stage's COPY, ADD and mounts read. A context may turn out to be a stage."""
        for one in stage.instructions:
            if one.name in {"COPY", "ADD"}:
                yield from self._copied(one)
            elif one.name == "RUN":
                for key, value in one.flags:
                    if key == "mount":
                        yield from self._mounted(value)

    def _copied(self, one: Instruction) -> Iterator[Source]:
        unknown = {key for key, _ in one.flags} - _COPY_FLAGS
        if unknown:
            raise self.refuse(f"{one.name} --{min(unknown)}")
        try:
            paths = json.loads(one.value)
        except ValueError:
            paths = one.value.split()
        for path in paths[:-1]:
            if "://" in path or path.startswith("git@"):
                continue
            yield self._source(one.flag("from"), path)

    def _mounted(self, mount: str) -> Iterator[Source]:
        options = dict(part.partition("=")[::2] for part in mount.split(","))
        origin = options.get("from", "")
        path = options.get("source", options.get("src", ""))
        if options.get("type", "bind") == "bind" or origin:
            yield self._source(origin, path or ".")

    def _source(self, context: str, path: str) -> Source:
        if context.isdigit():
            raise self.refuse(f"a stage by number, --from={context},")
        if any(character in context + path for character in "$[\\'\""):
            raise self.refuse(f"the source {path!r}")
        return Source(context, path)

    def _filled(self, text: str, arguments: Mapping[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            found = arguments.get(name) or self.global_arguments.get(name)
            if not found:
                raise self.refuse(f"FROM {text}, as {name} has no value,")
            return found

        filled = _VARIABLE.sub(value, text)
        if "$" in filled:
            raise self.refuse(f"FROM {text}")
        return filled


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    flags, rest = [], rest.strip()
    # HEALTHCHECK has flags too, and none of them names a file.
    while name.upper() in {"FROM", "RUN", "COPY", "ADD"} and rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        key, _, value = flag.removeprefix("--").partition("=")
        flags.append((key, value))
        rest = rest.strip()
    return Instruction(name.upper(), tuple(flags), rest)
