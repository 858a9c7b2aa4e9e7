"""Sample files for a landing zone that is empty, once."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from postgres_loader.errors import NoSuchFile
from postgres_loader.landing_zone import LandingZone

# A hidden file, so no table's. It has the names of the samples that were put so far; a landing zone
# that has it gets no samples again, whatever was removed since.
MARKER = ".sample_files"


def seed(zone: LandingZone, sample_folder: Path) -> str:
    """Put the sample files into an empty landing zone; returns what was done, in one line.

    What was interrupted is completed, unless there are other files by now. A sample that was there
    once is not put again, and a landing zone that holds anything else is left alone. Raises
    LandingZoneError.
    """
    where = zone.uri_of("")
    samples = {sample.name: sample for sample in sorted(sample_folder.glob("*.csv"))}
    before = _already_put(zone)
    present = zone.names()
    left = [name for name in samples if name not in (before or ())]
    if before is not None and not left:
        return f"landing zone {where} had its sample data before; nothing added"
    if set(present) - (set() if before is None else samples.keys()):
        return f"landing zone {where} has {len(present)} files; no sample data added"
    put = list(before or ())
    _mark(zone, put)
    for name in left:
        if name not in present:
            zone.put(name, samples[name])
        put.append(name)
        _mark(zone, put)
    state = "was empty" if before is None else "had a part of its sample data"
    return f"landing zone {where} {state}; added {', '.join(left)}"


def _already_put(zone: LandingZone) -> list[str] | None:
    """Names of the samples that were put; None where seeding has never begun."""
    try:
        with zone.open(MARKER) as stream:
            return stream.read(100_000).decode().splitlines()
    except NoSuchFile:
        return None


def _mark(zone: LandingZone, names: Sequence[str]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write("".join(f"{name}\n" for name in names).encode())
        file.flush()
        zone.put(MARKER, Path(file.name))
