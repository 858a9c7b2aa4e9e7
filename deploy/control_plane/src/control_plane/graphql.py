"""Questions to the webserver's GraphQL endpoint."""

from __future__ import annotations

from typing import Any

import httpx

from control_plane.errors import StackError

WORKSPACE_QUERY = """
query Workspace {
  version
  workspaceOrError {
    __typename
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message errorChain { error { message } } }
          ... on RepositoryLocation {
            repositories {
              displayMetadata { key value }
              schedules {
                name
                cronSchedule
                executionTimezone
                scheduleState { status nextTick { timestamp } }
              }
            }
          }
        }
      }
    }
  }
}
"""

RELOAD_MUTATION = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) { __typename }
}
"""


TICKS_QUERY = """
query Ticks {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError {
          ... on RepositoryLocation {
            repositories {
              name
              schedules { name defaultStatus scheduleState { ...LastTick } }
              sensors { name defaultStatus sensorState { ...LastTick } }
            }
          }
        }
      }
    }
  }
}
fragment LastTick on InstigationState {
  status
  ticks(limit: 1) {
    status
    timestamp
    error { message errorChain { error { message } } }
    runs { id status }
  }
}
"""

LAST_GOOD_TICK_QUERY = """
query LastGoodTick($selector: InstigationSelector!) {
  instigationStateOrError(instigationSelector: $selector) {
    ... on InstigationState { ticks(limit: 1, statuses: [SUCCESS, SKIPPED]) { timestamp } }
  }
}
"""

FAILED_TICKS_QUERY = """
query FailedTicks($selector: InstigationSelector!, $after: Float!, $before: Float!) {
  instigationStateOrError(instigationSelector: $selector) {
    ... on InstigationState {
      ticks(statuses: [FAILURE], afterTimestamp: $after, beforeTimestamp: $before) { timestamp }
    }
  }
}
"""

INSTANCE_QUERY = """
query Instance {
  instance {
    daemonHealth {
      allDaemonStatuses {
        daemonType
        required
        healthy
        lastHeartbeatTime
        lastHeartbeatErrors { message }
      }
    }
    concurrencyLimits { concurrencyKey limit usingDefaultLimit activeSlotCount pendingStepCount }
    poolConfig { defaultPoolLimit }
  }
}
"""


def ask(url: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run one query against the webserver at ``url`` and return its ``data``.

    Raises httpx.HTTPError while the server cannot be reached, StackError on GraphQL errors.
    """
    response = httpx.post(
        f"{url.rstrip('/')}/graphql",
        json={"query": query, "variables": variables or {}},
        timeout=30,
    )
    response.raise_for_status()
    body = response.json()
    if body.get("errors"):
        raise StackError(f"GraphQL at {url}: {body['errors'][0]['message']}")
    data: dict[str, Any] = body["data"]
    return data
