"""The bound on series."""

from __future__ import annotations

from stack_exporter.series import OTHER, Family, Known

RUNS = Family("runs", "", ("job",), "n")
OLDEST = Family("times", "", ("job",), "n", min)


def test_what_matters_keeps_its_name_and_the_rest_is_summed() -> None:
    rows = [{"job": f"job{n}", "n": n} for n in range(10)]
    kept, folded = RUNS.bounded(RUNS.samples(rows), 3)
    assert kept == {("job9",): 9, ("job8",): 8, ("job7",): 7, (OTHER,): sum(range(7))}
    assert folded == 7


def test_of_times_the_oldest_stay() -> None:
    rows = [{"job": f"job{n}", "n": n} for n in range(5)]
    kept, _ = OLDEST.bounded(OLDEST.samples(rows), 2)
    assert kept == {("job0",): 0, ("job1",): 1, (OTHER,): 2}


def test_below_the_bound_nothing_changes() -> None:
    samples = RUNS.samples([{"job": None, "n": 1}, {"job": "a", "n": None}])
    assert RUNS.bounded(samples, 1) == ({("",): 1}, 0)


def test_counters_keep_the_first_names() -> None:
    known = Known(2)
    assert known.labels(("elt", "a")) == ("elt", "a")
    assert known.labels((None, "b")) == ("", "b")
    for _ in range(2):
        assert known.labels(("elt", "c")) == (OTHER, OTHER)
    assert known.labels(("elt", "a")) == ("elt", "a")
    assert known.folded == 1
