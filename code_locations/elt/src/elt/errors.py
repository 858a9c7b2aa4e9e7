"""Failures of this location that explain themselves to the person who reads them in the UI."""

from postgres_loader.errors import LoaderError


class UsersApiError(LoaderError):
    """The users API failed after all attempts, or answered something other than users."""
