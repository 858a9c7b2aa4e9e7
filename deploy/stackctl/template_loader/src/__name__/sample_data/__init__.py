"""Puts the sample file into an empty landing zone, once: `python -m __name__.sample_data`."""

import os
import sys
from pathlib import Path

from postgres_loader.errors import LandingZoneError
from postgres_loader.landing_zone import open_landing_zone
from postgres_loader.seeding import seed

SAMPLE_FOLDER = Path(__file__).parents[1] / "defs" / "data"


def main() -> None:
    """Says what was done, or exits with the reason why not."""
    if os.environ.get("LANDING_ZONE_SAMPLE", "").lower() != "true":
        print("LANDING_ZONE_SAMPLE is not true; no sample data added")
        return
    try:
        print(seed(open_landing_zone(os.environ.get("LANDING_ZONE", "")), SAMPLE_FOLDER))
    except LandingZoneError as error:
        sys.exit(f"sample data could not be added: {error}")
