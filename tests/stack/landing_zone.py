"""Files of the landing zone, as a source system would put them there."""

from __future__ import annotations

from harness import Stack

_PUT = """
import os, sys, boto3
from urllib.parse import urlsplit
zone = urlsplit(os.environ["LANDING_ZONE"])
key = (zone.path.strip("/") + "/" + sys.argv[1]).lstrip("/")
store = boto3.client("s3")
if sys.argv[2] == "delete":
    store.delete_object(Bucket=zone.netloc, Key=key)
else:
    store.put_object(Bucket=zone.netloc, Key=key, Body=sys.stdin.buffer.read())
"""


def put(stack: Stack, name: str, content: str) -> None:
    """Put a file into the landing zone."""
    command = ("docker", "compose", "exec", "-T", "elt", "entrypoint", "python", "-c", _PUT)
    stack.run(*command, name, "put", stdin=content)


def delete(stack: Stack, name: str) -> None:
    """Take a file out of the landing zone."""
    command = ("exec", "-T", "elt", "entrypoint", "python", "-c", _PUT, name, "delete")
    stack.compose(*command)
