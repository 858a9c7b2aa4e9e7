"""Whether a source that would delete many rows is to be believed."""

from collections.abc import Sequence

from postgres_loader.errors import BadInput
from postgres_loader.merging import Range, Window

# Of fewer rows, a large share is an everyday change.
GUARDED_ROWS = 100


def refuse_mass_deletion(
    name: str,
    uris: Sequence[str],
    replaced: Range,
    deleted: int,
    known: int,
    max_deleted_share: float,
    allowed_by: str,
) -> None:
    """Raise BadInput when a load deletes too many of the `known` rows that it replaces.

    Exactly `max_deleted_share` (0 to 1) of them may go, and any number of fewer than GUARDED_ROWS.
    `allowed_by` says how to let it through once.
    """
    if known < GUARDED_ROWS or deleted <= max_deleted_share * known:
        return
    where = f" of {replaced.start:%Y-%m-%d}" if isinstance(replaced, Window) else ""
    raise BadInput(
        ", ".join(uris),
        f"it would delete {deleted} of the {known} rows{where} in {name}, {deleted / known:.1%} "
        f"and more than the limit of {max_deleted_share:.0%}, which looks like an incomplete file; "
        f"nothing was changed. Fix: put a complete file there. {allowed_by}".rstrip(),
        deleted=deleted,
        known=known,
    )
