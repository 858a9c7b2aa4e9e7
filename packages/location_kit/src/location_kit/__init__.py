"""What every code location shares: the warehouse's resource and the policy for runs."""

from location_kit.definitions import LocationDefinitions, executor
from location_kit.postgres import PostgresResource

__all__ = ["LocationDefinitions", "PostgresResource", "executor"]
