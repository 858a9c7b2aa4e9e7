"""Puts the sample files into an empty landing zone, once: `python -m elt.sample_data`."""

import os
import sys
from pathlib import Path

import tenacity
from postgres_loader.errors import LandingZoneError, LandingZoneUnavailable
from postgres_loader.landing_zone import open_landing_zone
from postgres_loader.seeding import seed

SAMPLE_FOLDER = Path(__file__).parent / "defs" / "data"
DEADLINE_S = 60


def main() -> int:
    if os.environ.get("LANDING_ZONE_SAMPLE", "").lower() != "true":
        print("LANDING_ZONE_SAMPLE is not true; no sample data added")
        return 0
    # The store may be starting up at the same time as we are.
    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(LandingZoneUnavailable),
        wait=tenacity.wait_fixed(1),
        stop=tenacity.stop_after_delay(DEADLINE_S),
        reraise=True,
    )
    zone_uri = os.environ.get("LANDING_ZONE", "")
    try:
        print(patiently(lambda: seed(open_landing_zone(zone_uri), SAMPLE_FOLDER)))
    except LandingZoneError as error:
        print(f"sample data could not be added: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
