"""A call as it was asked for, by the names that the rules for it use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker_gateway.engine import EngineCall
from docker_gateway.refusal import Refusal


@dataclass(frozen=True)
class Answer:
    """What the gateway knows already, as the engine said it."""

    content: Any


@dataclass(frozen=True)
class Call:
    """A call on something: its name as the path has it, parameters, the parsed body."""

    name: str
    query: Mapping[str, str]
    body: Mapping[str, Any]

    def flag(self, name: str) -> bool:
        """Whether a parameter is set."""
        return self.query.get(name, "0").lower() in {"1", "true"}

    def number(self, name: str) -> str:
        """A parameter that is a number; of times with a fraction."""
        text = self.query[name]
        if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII):
            raise Refusal(f"parameter {name} is not a number")
        return text


# The request to send instead of the caller's, or the answer.
Outcome = EngineCall | Answer
