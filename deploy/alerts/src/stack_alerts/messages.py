"""What people are told of incidents, and when. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stack_alerts.channels import redact, shown
from stack_alerts.settings import SEVERITIES, STACK, Settings

# Of one audience: this many messages in this time, then all that is new goes in one.
WINDOW = timedelta(minutes=10)
MOST = 10
_LISTED = 15
_CAUSE = 1500


@dataclass(frozen=True)
class Incident:
    """A row of alerts.incident."""

    id: int
    name: str
    location: str
    job: str
    severity: str
    title: str
    cause: str
    fix: str
    link: str
    count: int
    opened_at: datetime
    closed_at: datetime | None
    announced_at: datetime | None
    reminded_at: datetime | None

    @property
    def is_critical(self) -> bool:
        """Told in quiet hours, too."""
        return self.severity == "critical"


@dataclass(frozen=True)
class Message:
    """A text, and which incidents people know by it: that they are, go on, or are over."""

    kind: str
    title: str
    body: str
    incidents: tuple[Incident, ...]


def plan(
    audience: str, settings: Settings, untold: Sequence[Incident], sent: int, now: datetime
) -> list[Message]:
    """The messages to send now, of the incidents that ask for one.

    ``untold`` are those that opened, ended or went on for long without a message. ``sent``:
    messages to the same people within WINDOW. What is held back comes again with the next call.
    """
    is_quiet = settings.quiet_hours is not None and settings.quiet_hours.contain(now)
    due = [each for each in untold if each.is_critical or not is_quiet]
    over_unseen = [each for each in due if each.closed_at and each.announced_at is None]
    single = [each for each in due if each not in over_unseen]
    room = MOST - sent
    if room < 1 and not any(each.is_critical for each in due):
        return []
    if len(single) + bool(over_unseen) > room:
        return [_digest(audience, settings, due, now)] if due else []
    messages = [_one(audience, settings, each, now) for each in single]
    if over_unseen:
        messages.append(_digest(audience, settings, over_unseen, now))
    return messages


def at_least(severity: str, least: str) -> bool:
    """Whether a severity is as high as another."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def _one(audience: str, settings: Settings, incident: Incident, now: datetime) -> Message:
    if incident.closed_at:
        kind, word = "up", "OVER"
    elif incident.announced_at:
        kind, word = "warn", "STILL"
    else:
        kind, word = ("down" if incident.is_critical else "warn"), incident.severity.upper()
    since = f"since {incident.opened_at:%Y-%m-%d %H:%M} UTC"
    if incident.closed_at:
        since += f", over after {_lasted(incident, now)}"
    lines = [f"{incident.name}, {since}{_times(incident)}", f"Owner: {settings.owner}"]
    if not incident.closed_at:
        lines += [f"Cause: {incident.cause}"] if incident.cause else []
        lines += [f"Fix: {incident.fix}"] if incident.fix else []
    lines.append(incident.link)
    where = incident.location or audience
    return Message(kind, f"{word} {shown(where)}: {incident.title}", "\n".join(lines), (incident,))


def _digest(
    audience: str, settings: Settings, incidents: Sequence[Incident], now: datetime
) -> Message:
    over = [each for each in incidents if each.closed_at]
    title = f"{shown(audience)}: {len(incidents)} incidents, {len(over)} of them over"
    ranked = sorted(incidents, key=lambda each: (each.closed_at is not None, not each.is_critical))
    lines = [f"Owner: {settings.owner}"]
    for each in ranked[:_LISTED]:
        state = f"over after {_lasted(each, now)}" if each.closed_at else each.severity
        about = f"{each.location}: " if each.location and audience == STACK else ""
        lines.append(f"- {about}{each.title} ({state}{_times(each)}) {each.link}")
    if len(incidents) > _LISTED:
        lines.append(f"and {len(incidents) - _LISTED} more: make status")
    kind = "up" if len(over) == len(incidents) else "warn"
    return Message(kind, title, "\n".join(lines), tuple(incidents))


def _times(incident: Incident) -> str:
    return f", {incident.count} times" if incident.count > 1 else ""


def _lasted(incident: Incident, now: datetime) -> str:
    minutes = round(((incident.closed_at or now) - incident.opened_at).total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def shortened(text: str) -> str:
    """A cause of a bounded size, its beginning and its end, without passwords in URLs."""
    text = redact(text.strip())
    if len(text) <= _CAUSE:
        return text
    return f"{text[: _CAUSE // 2]}\n[...]\n{text[-_CAUSE // 2 :]}"
