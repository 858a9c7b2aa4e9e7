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
