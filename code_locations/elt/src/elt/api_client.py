"""GETs JSON from an API that may be slow, busy, broken or hostile, within limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from elt.answers import beginning, parsed, refusal
from elt.errors import UsersApiError
from elt.polite_retry import Deadline, GaveUp, PoliteRetry
from elt.redaction import redact, scrub

RETRIES = 4
PASSING_STATUSES = (429, 500, 502, 503, 504)
# Waits 0, 1, 2 and 4 s with this factor: long enough for a restart, short enough for a person.
BACKOFF_FACTOR_S = 0.5
# How often a page is asked for whose answer breaks off.
BODY_ATTEMPTS = 3
READ_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """How long to wait and how much to take.

    `timeout_s` is for connecting, and again between bytes; `retry_after_limit_s` for one
    Retry-After; `deadline_s` and `max_bytes` (after decompression) for all pages together.
    """

    timeout_s: float = 10
    retry_after_limit_s: float = 60
    deadline_s: float = 600
    max_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """A page of the API, as messages name it."""

    url: str
    page: int

    def error(
        self, reason: str, may_pass: bool = False, **details: str | int | None
    ) -> UsersApiError:
        """The error for what is wrong there, without the URL's credentials."""
        url = redact(self.url)
        message = f"GET {url}, page {self.page}: {scrub(reason, self.url)}"
        error = UsersApiError(message, url=url, page=self.page, **details)
        error.may_pass = may_pass
        return error


@dataclass(frozen=True)
class Answer:
    """A page's JSON and headers."""

    place: Place
    body: Any
    headers: Mapping[str, str]


class ApiClient:
    """Asks the server of `base_url`, with the user and password given there, and no other.

    Failed connections, timeouts, 429 and the passing 5xx are tried again, with exponential
    backoff or as Retry-After says. Every method raises UsersApiError.
    """

    def __init__(self, base_url: str, limits: Limits) -> None:
        self._base_url = base_url
        self._limits = limits
        self._deadline = Deadline(limits.deadline_s)
        self._session = requests.Session()
        self._set_up(self._session)
        self.bytes_read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, url: str, page: int) -> Answer:
        """The answer to a GET of `url`, which must be JSON with status 200."""
        place, status, may_pass = Place(url, page), None, True
        again = tenacity.Retrying(
            # What requests does not wrap is raised by reading the body.
            retry=tenacity.retry_if_exception_type(HTTPError),
            stop=tenacity.stop_after_attempt(BODY_ATTEMPTS),
            wait=tenacity.wait_exponential(BACKOFF_FACTOR_S),
            reraise=True,
        )
        try:
            return again(self._answer, place)
        except GaveUp as error:
            reason, status, may_pass = str(error), error.status, error.may_pass
        except requests.RequestException as error:
            reason, may_pass = _cause(error), _may_pass(error)
        except HTTPError as error:
            reason = f"{error} after {BODY_ATTEMPTS} attempts"
        # The base URL's credentials are quoted by servers that the page's URL does not show to.
        raise place.error(
            f"failed: {scrub(reason, self._base_url)}", may_pass=may_pass, status=status
        )

    def follow(self, place: Place, link: str) -> str:
        """The absolute address of a page's link, which must lead to the same server."""
        try:
            url = without_userinfo(urldefrag(urljoin(place.url, link)).url)
            foreign = self._leads_away(place.url, url)
        except ValueError:
            raise place.error("the next page's address is not a URL") from None
        if foreign:
            raise place.error(
                f"the next page is said to be {redact(url)}, which is another server: not asked"
            )
        return url

    def _set_up(self, session: requests.Session) -> None:
        retries = PoliteRetry(
            total=RETRIES,
            backoff_factor=BACKOFF_FACTOR_S,
            status_forcelist=PASSING_STATUSES,
            raise_on_status=False,
            deadline=self._deadline,
            retry_after_limit_s=self._limits.retry_after_limit_s,
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        session.headers["Accept"] = "application/json"
        session.hooks["response"].append(self._check_redirect)
        parts = urlsplit(self._base_url)
        if parts.username is not None:
            session.auth = (unquote(parts.username), unquote(parts.password or ""))

    def _answer(self, place: Place) -> Answer:
        timeout_s = min(self._limits.timeout_s, self._deadline.left_s())
        with self._session.get(place.url, timeout=timeout_s, stream=True) as response:
            if response.status_code != HTTPStatus.OK:
                raise GaveUp(
                    refusal(response),
                    response.status_code,
                    may_pass=response.status_code in PASSING_STATUSES,
                )
            content = self._read(response)
            body = parsed(content, response.headers.get("Content-Type"))
        # A redirect may have led elsewhere, and a relative link starts from there.
        return Answer(Place(response.url, place.page), body, response.headers)

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        # read1() comes back with what there is, so that a server that drips meets the deadline.
        while chunk := response.raw.read1(READ_BYTES, decode_content=True):
            content += chunk
            if self.bytes_read + len(content) > self._limits.max_bytes:
                raise GaveUp(
                    f"more than {self._limits.max_bytes} bytes, the limit for all pages; "
                    f"this answer begins {beginning(content)}",
                    response.status_code,
                )
            self._deadline.left_s()
        self.bytes_read += len(content)
        return bytes(content)

    def _check_redirect(self, response: requests.Response, **_: Any) -> None:
        target = self._session.get_redirect_target(response)
        if target is None:
            return
        # requests would read the redirect's own body to its end, which need not come.
        response.close()
        url = urljoin(response.url, target)
        if self._leads_away(response.url, url):
            raise GaveUp(
                f"status {response.status_code} redirects to {redact(url)}, which is another "
                "server: not followed",
                response.status_code,
            )

    def _leads_away(self, here: str, there: str) -> bool:
        # Where requests would not take credentials to, we do not go at all: another host, port or
        # scheme, but for https in place of http.
        strip: bool = self._session.should_strip_auth(here, there)  # type: ignore[no-untyped-call]
        return strip


def without_userinfo(url: str) -> str:
    """The URL without user and password: only the setting's are sent."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _may_pass(error: requests.RequestException) -> bool:
    is_unreachable = isinstance(error, requests.ConnectionError | requests.Timeout)
    return is_unreachable and not isinstance(error, requests.exceptions.SSLError)


def _cause(error: requests.RequestException) -> str:
    """The last reason, without the layers of exceptions that wrap it."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None) or inner
    attempts = f" after {RETRIES + 1} attempts" if hasattr(inner, "reason") else ""
    return f"{reason}{attempts}"
