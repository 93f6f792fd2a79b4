"""The result of one history."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Verdict:
    """The result of one history."""

    seed: int
    faults: int = 0
    messages: int = 0
    shown: int = 0
    lasted: float = 0.0
    converged_after: float = 0.0
    steps: int = 0
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    @property
    def kinds(self) -> set[str]:
        return {violation.partition(":")[0] for violation in self.violations}
