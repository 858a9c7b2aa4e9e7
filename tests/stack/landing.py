"""Files of the landing zone, and the sensor that looks for them."""

from __future__ import annotations

import time

from harness import Stack, until
from runs import Run, tagged

SENSOR = "landing_zone_sensor"

PROGRAM = """
import os, sys, boto3
from urllib.parse import urlsplit
zone = urlsplit(os.environ["LANDING_ZONE"])
key = (zone.path.strip("/") + "/" + sys.argv[1]).lstrip("/")
store = boto3.client("s3")
if sys.argv[2] == "get":
    sys.stdout.buffer.write(store.get_object(Bucket=zone.netloc, Key=key)["Body"].read())
elif sys.argv[2] == "delete":
    store.delete_object(Bucket=zone.netloc, Key=key)
else:
    store.put_object(Bucket=zone.netloc, Key=key, Body=sys.stdin.buffer.read())
"""


def put(stack: Stack, name: str, content: str) -> None:
    """Put a file into the landing zone, as a source system would."""
    command = ("docker", "compose", "exec", "-T", "elt", "entrypoint", "python", "-c", PROGRAM)
    stack.run(*command, name, "put", stdin=content)


def get(stack: Stack, name: str) -> str:
    """What a file of the landing zone holds."""
    command = ("exec", "-T", "elt", "entrypoint", "python", "-c", PROGRAM, name, "get")
    return stack.compose(*command)


def delete(stack: Stack, name: str) -> None:
    """Take a file out of the landing zone."""
    command = ("exec", "-T", "elt", "entrypoint", "python", "-c", PROGRAM, name, "delete")
    stack.compose(*command)


_TICKS = """
query Ticks($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) {
    __typename
    ... on Sensor { sensorState { ticks(limit: 5) { timestamp status error { message } } } }
  }
}"""


def next_look(stack: Stack) -> None:
    """Wait for a look at the landing zone that begins from now on, and ends well."""
    now = time.time()
    selector = {
        "repositoryLocationName": "elt",
        "repositoryName": "__repository__",
        "sensorName": SENSOR,
    }

    def looked() -> None:
        found = stack.ask(_TICKS, selector=selector)["sensorOrError"]
        assert found["__typename"] == "Sensor", found
        ticks = [tick for tick in found["sensorState"]["ticks"] if tick["timestamp"] > now]
        assert any(tick["status"] in {"SUCCESS", "SKIPPED"} for tick in ticks), ticks

    until(looked, seconds=120, every=1)


def requested(stack: Stack, file: str) -> list[Run]:
    """The runs that the sensor has requested for a file alone, newest first."""
    return tagged(stack, {"dagster/sensor_name": SENSOR, "landing_zone/files": file})
