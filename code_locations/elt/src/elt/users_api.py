"""Reads users from the users API, a REST API after the manner of jsonplaceholder.typicode.com."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from elt.errors import UsersApiError

RETRIES = 4
# Waits 0, 1, 2 and 4 s with this factor: long enough for a restart, short enough for a person.
BACKOFF_FACTOR_S = 0.5
# The most that a Retry-After may make us wait, each time.
RETRY_AFTER_LIMIT_S = 60

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def fetch_users(base_url: str, timeout_s: float) -> list[dict[str, Any]]:
    """All users: one object each, as the API has them.

    Failed connections, timeouts (of `timeout_s` to connect, and again between bytes), 429 and
    the passing 5xx are tried again with exponential backoff. Raises UsersApiError, which names
    the URL and the last answer, after the last attempt, for any other status, and for an answer
    that is not a JSON list of objects.
    """
    url = f"{base_url.rstrip('/')}/users"
    retry = Retry(
        total=RETRIES,
        backoff_factor=BACKOFF_FACTOR_S,
        status_forcelist=(429, 500, 502, 503, 504),
        retry_after_max=RETRY_AFTER_LIMIT_S,
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            response = session.get(url, timeout=timeout_s, headers={"Accept": "application/json"})
        except requests.RequestException as error:
            raise UsersApiError(f"GET {url} failed: {_cause(error)}", url=url) from None
    if response.status_code != HTTPStatus.OK:
        retries = response.raw.retries
        attempts = 1 + (len(retries.history) if isinstance(retries, Retry) else 0)
        raise UsersApiError(
            f"GET {url} failed: the last of {attempts} attempts was answered with status "
            f"{response.status_code} {response.reason}",
            url=url,
            status=response.status_code,
        )
    return _users(url, response)


def flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level from many: `{"geo": {"latDeg": 1}}` becomes `{"geo_lat_deg": 1}`."""
    flat: dict[str, Any] = {}
    for field, value in record.items():
        name = prefix + _CAPITAL.sub("_", field).lower()
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}_")
        else:
            flat[name] = value
    return flat


def _users(url: str, response: requests.Response) -> list[dict[str, Any]]:
    try:
        users = response.json()
    except requests.JSONDecodeError as error:
        raise UsersApiError(
            f"GET {url} was answered with something that is not JSON: {error}; "
            f"the answer begins {response.text[:80]!r}",
            url=url,
        ) from None
    if not isinstance(users, list):
        kind = type(users).__name__
        raise UsersApiError(f"GET {url} was answered with a JSON {kind}, not a list", url=url)
    for number, user in enumerate(users, start=1):
        if not isinstance(user, dict):
            raise UsersApiError(
                f"GET {url}, record {number}: not an object but {str(user)[:80]!r}",
                url=url,
                record=number,
            )
    return users


def _cause(error: requests.RequestException) -> str:
    """The last reason, without the layers of exceptions that wrap it."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None) or inner
    attempts = f" after {RETRIES + 1} attempts" if hasattr(inner, "reason") else ""
    return f"{reason}{attempts}"
