"""When people are told, and how many messages that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stack_alerts.channels import redact
from stack_alerts.messages import MOST, Incident, plan, shortened
from stack_alerts.settings import QuietHours, Settings

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 1, 15, 23, 0, tzinfo=UTC)
QUIET = Settings(
    owner="Team", quiet_hours=QuietHours.model_validate({"from": "22:00", "to": "07:00"})
)


def incident(number: int = 1, **changes: object) -> Incident:
    given: dict[str, object] = {
        **{"id": number, "name": "RunFailed", "location": "elt", "job": "load", "count": 1},
        **{"severity": "warning", "title": f"load_{number} failed", "cause": "ValueError: no rows"},
        **{"fix": "open the run", "link": "http://ui/runs/1", "opened_at": NOON},
        **{"closed_at": None, "announced_at": None, "reminded_at": None},
    }
    return Incident(**(given | changes))  # type: ignore[arg-type]


def test_one_message_says_what_who_where_and_what_helps() -> None:
    [message] = plan("elt", Settings(owner="Team"), [incident(count=3)], 0, NOON)
    assert message.title == "WARNING elt: load_1 failed"
    for words in ("Owner: Team", "3 times", "ValueError: no rows", "http://ui/runs/1", "Fix: open"):
        assert words in message.body


def test_its_end_says_how_long_and_how_often() -> None:
    over = incident(count=7, announced_at=NOON, closed_at=NOON + timedelta(minutes=75))
    [message] = plan("elt", Settings(owner="Team"), [over], 0, NOON + timedelta(hours=3))
    assert message.title == "OVER elt: load_1 failed"
    assert "over after 1 h 15 min, 7 times" in message.body
    assert message.kind == "up"


def test_quiet_hours_hold_back_all_but_what_is_critical() -> None:
    held, loud = incident(1), incident(2, severity="critical")
    assert [each.incidents for each in plan("elt", QUIET, [held, loud], 0, NIGHT)] == [(loud,)]
    morning = NIGHT + timedelta(hours=8)
    assert [each.incidents for each in plan("elt", QUIET, [held], 0, morning)] == [(held,)]


def test_what_began_and_ended_in_quiet_hours_is_a_line_of_one_summary() -> None:
    unseen = [incident(number, closed_at=NIGHT) for number in (1, 2, 3)]
    assert plan("elt", QUIET, unseen, 0, NIGHT) == []
    [message] = plan("elt", QUIET, unseen, 0, NIGHT + timedelta(hours=8))
    assert message.title == "elt: 3 incidents, 3 of them over"
    assert message.body.count("- load_") == 3


def test_a_storm_is_one_digest() -> None:
    storm = [incident(number) for number in range(1000)]
    [message] = plan("", Settings(owner="Team"), storm, 0, NOON)
    assert len(message.incidents) == 1000
    assert "and 985 more" in message.body
    assert len(message.body) < 4000


def test_a_storm_that_comes_one_by_one_waits_for_its_digest() -> None:
    settings = Settings(owner="Team")
    assert plan("", settings, [incident()], MOST, NOON) == []
    assert len(plan("", settings, [incident()], MOST - 1, NOON)) == 1
    [message] = plan("", settings, [incident(1), incident(2)], MOST - 1, NOON)
    assert len(message.incidents) == 2
    # What is critical does not wait, and takes along what does.
    both = [incident(1), incident(2, severity="critical")]
    [message] = plan("", settings, both, MOST, NOON)
    assert len(message.incidents) == 2


def test_a_long_cause_keeps_both_ends_and_no_password() -> None:
    text = shortened(f"begin {'x' * 9000} postgresql://elt:hunter2@postgres/w end")
    assert text.startswith("begin") and text.endswith("end") and len(text) < 1600
    assert "hunter2" not in text and "postgresql://***@postgres" in text


def test_no_part_of_a_url_is_left() -> None:
    url = "slack://bot@T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23chan?x=q%2Fsecret"
    said = f"POST {url} TIiajkdnlazkcOXrIdevi7FQ failed for #chan q/secret"
    left = redact(said, url)
    for part in ("T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ", "secret", "chan"):
        assert part not in left
