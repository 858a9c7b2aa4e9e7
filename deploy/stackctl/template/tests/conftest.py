"""The fixture `warehouse` is location_kit's: a real PostgreSQL, with this location's schema."""

import pytest


@pytest.fixture(scope="session")
def schemas() -> tuple[str, ...]:
    return ("__name__",)
