"""What assets and sensors of the landing zone are given."""

import dagster as dg

from postgres_loader.landing_zone import LandingZone, open_landing_zone


class LandingZoneResource(dg.ConfigurableResource):
    """The landing zone at `file:///folder` or `s3://bucket[/prefix]`."""

    uri: str

    def open(self) -> LandingZone:
        """Raises LandingZoneError when the URI is neither."""
        return open_landing_zone(self.uri)
