import os
from typing import Any, Literal

import dagster as dg
from location_kit.postgres import PostgresResource
from paged_api import Kind, Limits, PagedApi, Pagination
from postgres_loader.resources import LandingZoneResource
from pydantic import Field, ValidationError

USERS_API_URL = "https://jsonplaceholder.typicode.com"
MIB = 1024 * 1024
# What the environment's variables for the fields below begin with.
SETTINGS = "USERS_API_"


class UsersApiResource(dg.ConfigurableResource):
    """Where the users API is, without `/users`, and how long and how much is taken from it."""

    base_url: str
    timeout_s: float = Field(
        default=Limits.timeout_s, gt=0, description="To connect, and again between bytes."
    )
    retry_after_limit_s: float = Field(
        default=Limits.retry_after_limit_s,
        ge=0,
        description="The most that one answer may ask for.",
    )
    deadline_s: float = Field(
        default=Limits.deadline_s, gt=0, description="For all pages together, waits included."
    )
    max_mib: float = Field(
        default=Limits.max_bytes / MIB, gt=0, description="Size of all pages, uncompressed."
    )
    max_pages: int = Field(default=Limits.max_pages, gt=0, description="Number of pages.")
    max_missing_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of the known users, those that may vanish at once; more than this is refused.",
    )
    new_fields: Literal["refuse", "report", "add"] = Field(
        default="report", description="What becomes of fields that are not declared."
    )

    pagination: Kind = Field(default="none", description="How the API pages.")
    records_path: str = Field(default="", description="Where the list of users is.")
    next_path: str = Field(
        default="", description="Where the next page's URL (next-link) or cursor (cursor) is."
    )
    page_param: str = Field(default="", description="Query parameter of page, offset or cursor.")
    first_page: int = Field(default=1, ge=0, description="Number of the first page.")
    page_size_param: str = Field(default="limit", description="Query parameter of the page size.")
    page_size: int = Field(default=0, ge=0, description="Users per page; 0 sends none.")
    total_path: str = Field(
        default="", description="Where the number of all users is: a path, or a header's name."
    )
    ignored_signs: str = Field(
        default="", description="Paths, with commas, that look like signs of more but are not."
    )

    def api(self) -> PagedApi:
        """The API, as the fields declare it; its messages name the settings."""
        ignored = (path.strip().lower() for path in self.ignored_signs.split(","))
        pagination = Pagination(
            kind=self.pagination,
            records_path=self.records_path,
            next_path=self.next_path,
            page_param=self.page_param,
            first_page=self.first_page,
            page_size_param=self.page_size_param,
            page_size=self.page_size,
            total_path=self.total_path,
            ignored_signs=frozenset(filter(None, ignored)),
            settings=SETTINGS,
        )
        limits = Limits(
            timeout_s=self.timeout_s,
            retry_after_limit_s=self.retry_after_limit_s,
            deadline_s=self.deadline_s,
            max_bytes=int(self.max_mib * MIB),
            max_pages=self.max_pages,
        )
        return PagedApi(self.base_url, pagination, limits)


def users_api_from_environment() -> UsersApiResource:
    """With `USERS_API_<FIELD>` for each field that the environment sets.

    Raises ValueError, which names variable and value, for one that is not a number or out of range.
    """
    # EnvVar knows no default, so the environment is asked when the definitions are loaded.
    fields = {name: f"{SETTINGS}{name.upper()}" for name in UsersApiResource.model_fields}
    chosen: dict[str, Any] = {
        name: value for name, variable in fields.items() if (value := os.environ.get(variable))
    }
    # The URL may hold a password; an EnvVar's value is not shown in the UI.
    given = os.environ.get("USERS_API_URL")
    chosen["base_url"] = dg.EnvVar("USERS_API_URL") if given else USERS_API_URL
    try:
        return UsersApiResource(**chosen)
    except ValidationError as error:
        (first, *_) = error.errors()
        variable = fields[str(first["loc"][0])]
        raise ValueError(f"{variable} is {first['input']!r}: {first['msg']}") from None


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "landing_zone": LandingZoneResource.from_environment(),
            "postgres": PostgresResource(
                host=dg.EnvVar("WAREHOUSE_HOST"),
                port=dg.EnvVar.int("WAREHOUSE_PORT"),
                user=dg.EnvVar("WAREHOUSE_USER"),
                password=dg.EnvVar("WAREHOUSE_PASSWORD"),
                database=dg.EnvVar("WAREHOUSE_DB"),
                schema_="raw",
            ),
            "users_api": users_api_from_environment(),
        }
    )
