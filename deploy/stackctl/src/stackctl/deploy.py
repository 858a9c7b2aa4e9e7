"""Life of a release: gate, switch, verify, or back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from stackctl import candidate as candidates
from stackctl import gate, records, retention, switch
from stackctl.changes import Change, changes, shown
from stackctl.console import err, say, step
from stackctl.control_plane import ControlPlane
from stackctl.docker import DockerError, docker, inspect
from stackctl.errors import ROLLED_BACK, StackctlError
from stackctl.lock import who
from stackctl.records import Record
from stackctl.service import Container, Service, content

_VERIFY_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What a command did, for people and machines."""

    location: str
    release: str | None
    former: str | None
    went_live: bool
    changes: list[Change] = field(default_factory=list)
    removed_releases: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Shipping:
    """One location's way from one release to another, under its lock."""

    service: Service
    control: ControlPlane
    gate_seconds: float
    allow_clash: bool = False

    def deploy(self, image_of: Callable[[], str], how: str, revision: str) -> Outcome:
        """Bring the image live. Raises StackctlError; then what served before serves."""
        service = self.service
        # Without one there is nobody to verify, and everything would be rolled back.
        _ = self.control.daemon
        switch.repair(service)
        image = image_of()
        serving = service.serving()
        if serving and _is_current(service, serving, image):
            release = self._release_of(serving)
            # A command that was killed may have left the control plane with the one before.
            name = service.release_image(release)
            switch.verify(service, self.control, serving, name, _VERIFY_S)
            say(f"{service.location} serves release {release} already, nothing to do")
            return Outcome(service.location, release, release, went_live=False)
        with self._put_right_on_failure():
            candidate, report = self._pass_gate(image)
            differences = show_changes(report)
            return self._go_live(candidate, report, differences, how, revision)

    def diff(self, image_of: Callable[[], str]) -> Outcome:
        """What bringing the image live would change; nothing is."""
        switch.repair(self.service)
        with self._put_right_on_failure():
            _, report = self._pass_gate(image_of())
            candidates.discard(self.service)
        former = _tag(report["live"]["image"]) if report["live"] else None
        release = _tag(report["candidate"]["image"])
        differences = show_changes(report)
        return Outcome(self.service.location, release, former, False, differences)

    @contextmanager
    def _put_right_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            switch.repair(self.service)
            raise

    def _pass_gate(self, image: str) -> tuple[Container, dict[str, Any]]:
        """The candidate that passed, and what it defines."""
        with step("Starting the release beside the one that serves"):
            candidate = candidates.make(self.service, image)
        with step("Gate: it serves, its definitions load, nothing is missing"):
            report = gate.examine(
                self.service, self.control, candidate, self.gate_seconds, self.allow_clash
            )
        if report["clashes"]:
            say(f"  also defined elsewhere: {gate.named(report['clashes'])}")
        if report["silent"]:
            say(f"  not compared with {', '.join(report['silent'])}, which does not serve")
        return candidate, report

    def _go_live(
        self,
        candidate: Container,
        report: dict[str, Any],
        differences: list[Change],
        how: str,
        revision: str,
    ) -> Outcome:
        service, name = self.service, str(report["candidate"]["image"])
        former = service.containers()
        kept = inspect("image", name)
        serving = next((one for one in former if one.running), None)
        known, unknown = self._history(serving)
        try:
            # Its runs look for it by this name.
            docker("image", "tag", candidate.image, name)
            with step("Switching"):
                switch.switch(service, self.control, candidate, former)
            with step("Verifying that webserver and daemon serve it"):
                switch.verify(service, self.control, candidate, name, _VERIFY_S)
        except switch.NotServed as error:
            if serving is None:
                raise
            with step("Rolling back"):
                switch.step_back(service, candidate, serving)
                if not kept:
                    # Nothing to go back to; unless a run has it already.
                    with suppress(DockerError):
                        docker("image", "rm", name)
            why = f"rolled back, the former release serves again: {error}"
            raise StackctlError(why, ROLLED_BACK) from None
        for one in former:
            switch.end(one)
        # Left behind, they would make Compose re-create them at the next `up`, and with them
        # the location, which depends on them.
        if followers := service.followers():
            docker("compose", "up", "--detach", "--no-build", *followers)
        release = _tag(name)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = _tag(report["live"]["image"]) if report["live"] else None
        added = [*unknown, Record(release, now, who(), revision, how)]
        records.write(self.control, service.location, *added)
        say(f"{service.location} serves release {release}")
        gone = self._prune(candidate, known + added)
        return Outcome(service.location, release, before, True, differences, gone)

    def _prune(self, live: Container, known: list[Record]) -> list[str]:
        service = self.service
        found = retention.releases(service, known, live)
        if len(found) <= retention.to_keep(service) + 1:
            return []
        used = self.uses()
        going = retention.superfluous(found, live.content, used, retention.to_keep(service))
        gone = retention.prune(service, going)
        if gone:
            say(f"removed old releases: {', '.join(gone)}")
        return gone

    def uses(self) -> dict[str, int]:
        """How many runs that have not ended use each release."""
        counted: dict[str, int] = {}
        for run in self.control.ask("runs", self.service.location):
            release = _tag(run["image"] or "")
            counted[release] = counted.get(release, 0) + 1
        return counted

    def _release_of(self, container: Container) -> str:
        found = retention.releases(self.service, [], container)
        named = [one.release for one in found if one.content == container.content]
        return named[0] if named else container.image[:19]

    def previous(self) -> str:
        """The release that was live before the one that serves; after a rollback, one further back.

        Raises StackctlError when none is kept.
        """
        location = self.service.location
        known, unknown = self._history(self.service.serving())
        history = known + unknown
        live = history[-1].release if history else None
        for release in records.way_back(history):
            if release != live and inspect("image", self.service.release_image(release)):
                say(f"rolling {location} back from release {live} to {release}")
                return release
        raise StackctlError(
            f"no release that was live before {live} is kept on this engine: {location} cannot go"
            f" further back. Fix: make releases LOCATION={location} lists what there is, for"
            " TO=release"
        )

    def _history(self, serving: Container | None) -> tuple[list[Record], list[Record]]:
        """What is recorded, and what Compose alone has brought live since, the latest last."""
        known = records.read(self.control, self.service.location)
        found = retention.releases(self.service, known, serving)
        live = [one for one in found if serving and one.content == serving.content][:1]
        since = [one for one in reversed(found) if not one.record and one not in live]
        if serving and live and (since or not known or known[-1].release != live[0].release):
            since.append(replace(live[0], when=serving.created))
        return known, [Record(one.release, one.when, "", "", "compose") for one in since]


def show_changes(report: dict[str, Any]) -> list[Change]:
    """Print what the candidate defines that the live server does not, and the reverse."""
    live = report["live"]["definitions"] if report["live"] else {}
    found = changes(live, report["candidate"]["definitions"])
    if not found:
        say("  definitions: no difference")
    colors = {"added": "green", "changed": "yellow", "removed": "red"}
    for how, line in shown(found):
        err.print(f"  {line}", style=colors[how], markup=False)
    return found


def _is_current(service: Service, serving: Container, image: str) -> bool:
    return serving.content == content(image) and serving.config_hash == service.config_hash()


def _tag(image: str) -> str:
    return image.rpartition(":")[2]
