"""What assets and sensors of the landing zone are given."""

from __future__ import annotations

import os

import dagster as dg

from postgres_loader.landing_zone import LandingZone, open_landing_zone


class LandingZoneResource(dg.ConfigurableResource):
    """The landing zone at `file:///folder` or `s3://bucket[/prefix]`."""

    uri: str

    @classmethod
    def from_environment(cls, variable: str = "LANDING_ZONE") -> LandingZoneResource:
        """The one that the variable names, whose value is not shown in the UI; else none at all.

        Without it, definitions still load, the sensor skips, and a load fails with a sentence.
        """
        return cls(uri=dg.EnvVar(variable) if os.environ.get(variable) else "")

    def open(self) -> LandingZone:
        """Raises LandingZoneError when the URI is neither."""
        return open_landing_zone(self.uri)
