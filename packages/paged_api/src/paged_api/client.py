"""GETs JSON from an API that may be slow, busy, broken or hostile, within limits."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

import requests
import tenacity
from urllib3.exceptions import HTTPError

from paged_api.answers import Busy, Failed, beginning, parsed, refusal
from paged_api.errors import ApiError
from paged_api.redaction import redact, scrub

RETRIES = 4
# Waits 0, 1, 2 and 4 s: long enough for a restart, short enough for a person.
BACKOFF_S = 1.0
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
    max_pages: int = 1000


@dataclass(frozen=True)
class Answer:
    """A page's JSON and headers, and where they are from; pages count from 1."""

    url: str
    page: int
    body: Any
    headers: Mapping[str, str]

    def error(self, reason: str, record: int | None = None) -> ApiError:
        """The error for what is wrong with this page."""
        return _error(self.url, self.page, reason, record=record)


class Client:
    """Asks the server of `base_url`, with the user and password given there, and no other.

    Failed connections, timeouts, answers that break off, 429 and the passing 5xx are tried again,
    with exponential backoff or as Retry-After says. Every method raises ApiError.
    """

    def __init__(self, base_url: str, limits: Limits) -> None:
        self._base_url = base_url
        self._limits = limits
        self._end_s = time.monotonic() + limits.deadline_s
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        self._session.hooks["response"].append(self._check_redirect)
        parts = urlsplit(base_url)
        if parts.username is not None:
            self._session.auth = (unquote(parts.username), unquote(parts.password or ""))
        self.bytes_read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, url: str, page: int) -> Answer:
        """The answer to a GET of `url`, which must be JSON with status 200."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_worth_another),
            wait=self._wait_s,
            stop=tenacity.stop_after_attempt(1 + RETRIES),
            reraise=True,
        )
        try:
            return attempts(self._answer, url, page)
        except Failed as error:
            failed = error
        except (requests.RequestException, HTTPError) as error:
            failed = Failed(_cause(error), may_pass=_is_worth_another(error))
        made = attempts.statistics["attempt_number"]
        after = f" after {made} attempts" if made > 1 else ""
        # The base URL's credentials are quoted by servers that the page's URL does not show to.
        reason = f"failed{after}: {scrub(str(failed), self._base_url)}"
        raise _error(url, page, reason, failed.may_pass, status=failed.status)

    def follow(self, answer: Answer, link: str) -> str:
        """The absolute address of a page's link, which must lead to the same server."""
        try:
            url = without_userinfo(urldefrag(urljoin(answer.url, link)).url)
            is_foreign = self._leads_away(answer.url, url)
        except ValueError:
            raise answer.error("the next page's address is not a URL") from None
        if is_foreign:
            raise answer.error(
                f"the next page is said to be {redact(url)}, which is another server: not asked"
            )
        return url

    def _answer(self, url: str, page: int) -> Answer:
        timeout_s = min(self._limits.timeout_s, self._left_s())
        with self._session.get(url, timeout=timeout_s, stream=True) as response:
            if response.status_code != HTTPStatus.OK:
                raise refusal(response)
            content = self._read(response)
            body = parsed(content, response.headers.get("Content-Type"))
        # A redirect may have led elsewhere, and a relative link starts from there.
        return Answer(response.url, page, body, response.headers)

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        # read1() comes back with what there is, so that a server that drips meets the deadline.
        while chunk := response.raw.read1(READ_BYTES, decode_content=True):
            content += chunk
            if self.bytes_read + len(content) > self._limits.max_bytes:
                raise Failed(
                    f"more than {self._limits.max_bytes} bytes, the limit for all pages; "
                    f"this answer begins {beginning(content)}",
                    response.status_code,
                )
            self._left_s()
        self.bytes_read += len(content)
        return bytes(content)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait before the next attempt. Raises Failed instead of waiting too long."""
        number = state.attempt_number
        if number > RETRIES:
            return 0
        error = state.outcome.exception() if state.outcome else None
        status, asked_s = None, None
        if isinstance(error, Busy):
            status, asked_s = error.status, error.retry_after_s
        if asked_s and asked_s > self._limits.retry_after_limit_s:
            raise Failed(
                f"status {status} asks to wait {asked_s:.0f} s (Retry-After), "
                f"more than the limit of {self._limits.retry_after_limit_s:g} s",
                status,
            )
        wait_s = asked_s or (BACKOFF_S * 2 ** (number - 2) if number > 1 else 0)
        if wait_s >= self._left_s():
            answered = f"status {status}" if status else "no answer"
            raise Failed(
                f"{answered}, and a wait of {wait_s:.0f} s would end after the time for all "
                f"pages, {self._limits.deadline_s:g} s",
                status,
                # A later run would come before the time that the server asked for.
                may_pass=not asked_s,
            )
        return wait_s

    def _left_s(self) -> float:
        """Seconds until the deadline, more than none. Raises Failed when the time is up."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            limit_s = self._limits.deadline_s
            raise Failed(f"the time for all pages, {limit_s:g} s, is up", may_pass=True)
        return left_s

    def _check_redirect(self, response: requests.Response, **_: Any) -> None:
        target = self._session.get_redirect_target(response)
        if target is None:
            return
        # requests would read the redirect's own body to its end, which need not come.
        response.close()
        url = urljoin(response.url, target)
        if self._leads_away(response.url, url):
            raise Failed(
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
    """The URL without user and password: only those of the base URL are sent."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _error(
    url: str, page: int, reason: str, may_pass: bool = False, **details: int | None
) -> ApiError:
    """With the page's address, and without its credentials."""
    shown = redact(url)
    message = f"GET {shown}, page {page}: {scrub(reason, url)}"
    return ApiError(message, may_pass, url=shown, page=page, **details)


def _is_worth_another(error: BaseException) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, requests.exceptions.SSLError):
        return False
    # HTTPError is what requests does not wrap, raised by reading the body.
    return isinstance(error, Busy | requests.ConnectionError | requests.Timeout | HTTPError)


def _cause(error: Exception) -> str:
    """The last reason, without the layers of exceptions that wrap it."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner)
