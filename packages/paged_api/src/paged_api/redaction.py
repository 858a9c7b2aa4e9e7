"""URLs and texts without the credentials that a URL may carry."""

from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

HIDDEN = "***"
# Any other parameter may be a token, or a cursor that is as good as one.
_SHOWN_PARAMETERS = {
    *("page", "per_page", "page_size", "size", "limit", "offset", "start", "end", "skip"),
    *("_page", "_per_page", "_limit", "_start", "_end"),
}
# What is shorter than this occurs in any text by chance.
_SECRET_LENGTH = 4


def redact(url: str) -> str:
    """The URL with its user, password and query values hidden, except those that only page."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    user, at, host = parts.netloc.rpartition("@")
    query = "&".join(_redacted_parameter(parameter) for parameter in parts.query.split("&"))
    netloc = f"{HIDDEN}@{host}" if user or at else host
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def scrub(text: str, *urls: str) -> str:
    """The text with every credential of the URLs hidden, wherever it stands."""
    secrets = {secret for url in urls for secret in _secrets(url)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _redacted_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    shown = name.lower() in _SHOWN_PARAMETERS or not value
    return parameter if shown else f"{name}{equals}{HIDDEN}"


def _secrets(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for part in parts.netloc.rpartition("@")[0].split(":", maxsplit=1):
        if len(part) >= _SECRET_LENGTH:
            yield from (part, unquote(part))
    for parameter in parts.query.split("&"):
        value = parameter.partition("=")[2]
        if len(value) >= _SECRET_LENGTH and _redacted_parameter(parameter) != parameter:
            yield from (value, unquote_plus(value))
