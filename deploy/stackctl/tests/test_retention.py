"""Which releases may go."""

from stackctl.retention import Release, superfluous


def release(name: str) -> Release:
    return Release(name, f"sha256:{name}", 1, "2026-01-01T00:00:00Z", None)


LATEST_FIRST = [release(name) for name in "gfedcba"]


def names(found: list[Release]) -> str:
    return "".join(one.release for one in found)


def test_the_latest_others_than_the_live_one_are_kept() -> None:
    assert names(superfluous(LATEST_FIRST, "sha256:g", {}, keep=2)) == "dcba"


def test_the_live_one_is_kept_however_old() -> None:
    assert names(superfluous(LATEST_FIRST, "sha256:a", {}, keep=2)) == "edcb"


def test_one_that_a_run_needs_is_kept_however_old() -> None:
    assert names(superfluous(LATEST_FIRST, "sha256:g", {"a": 1, "c": 2}, keep=2)) == "db"


def test_none_to_go_back_to() -> None:
    assert names(superfluous(LATEST_FIRST[:2], "sha256:g", {}, keep=0)) == "f"
