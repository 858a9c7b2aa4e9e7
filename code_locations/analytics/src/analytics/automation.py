"""When the models are rebuilt, and when a table that was not rebuilt counts as stale."""

from collections.abc import Iterable
from datetime import timedelta
from functools import reduce
from operator import or_

import dagster as dg

# Twice an hour is missed before anybody is told, and a third time before it is an error: one
# failed or long run of the hourly job must not raise a warning.
HOURLY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=2, minutes=15), fail_window=timedelta(hours=3, minutes=15)
)

# Rebuilt in the same run as its upstream tables, if all of these exist.
with_upstream = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
    & ~dg.AutomationCondition.any_deps_missing()
).with_label("with_upstream")


def when_changed(
    sources: Iterable[dg.AssetKey], all_sources: Iterable[dg.AssetKey]
) -> dg.AutomationCondition:
    """True once for each change of a source's content that the asset does not have yet.

    A source that is loaded again with the same content (the same data version) has not changed,
    and a change that a run of any other origin has brought into the asset already is handled.
    Nothing is requested while one of `all_sources` is being loaded: a run that loads several
    tables is answered by one run.
    """
    selection = dg.AssetSelection.assets(*sources)
    loaded = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    changed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    # Times are compared when both happen between two evaluations; Dagster does so for these two
    # conditions as they stand here, and not for combinations of conditions.
    loaded_since_made = loaded.allow(selection).since(dg.AutomationCondition.newly_updated())
    not_yet_in = changed.allow(selection).since(
        dg.AutomationCondition.newly_requested() | ~loaded_since_made
    )
    in_progress = [
        dg.AutomationCondition.asset_matches(key, dg.AutomationCondition.in_progress())
        for key in sorted(all_sources)
    ]
    return (not_yet_in & ~reduce(or_, in_progress)).with_label("when_changed")
