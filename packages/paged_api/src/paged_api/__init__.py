"""All records of a JSON API whose pagination is declared, or an error; never a part of them."""

from paged_api.api import PagedApi, Records
from paged_api.client import Limits
from paged_api.errors import ApiError
from paged_api.pagination import Kind, Pagination
from paged_api.redaction import redact

__all__ = ["ApiError", "Kind", "Limits", "PagedApi", "Pagination", "Records", "redact"]
