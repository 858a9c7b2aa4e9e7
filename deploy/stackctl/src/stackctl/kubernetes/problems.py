"""What cannot be carried to Kubernetes, collected so that all of it is said at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackctl.errors import REFUSED, StackctlError


@dataclass
class Problems:
    """Refusals end the command; notes are for what changes nothing that anybody relies on."""

    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, where: str, what: str, fix: str) -> None:
        """Record what cannot be carried."""
        self.refused.append(f"{where}: {what}. Fix: {fix}")

    def note(self, text: str) -> None:
        """Record what is left out and harmless, once."""
        if text not in self.notes:
            self.notes.append(text)

    def check(self) -> None:
        """Raise StackctlError that names all refusals."""
        if len(self.refused) == 1:
            raise StackctlError(self.refused[0], REFUSED)
        if self.refused:
            lines = "".join(f"\n  {line}" for line in self.refused)
            raise StackctlError(
                f"{len(self.refused)} things cannot be carried to Kubernetes, and nothing was"
                f" written:{lines}",
                REFUSED,
            )
