"""What a live check found, as a file that can be kept: written anew after every step, so that half a check counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass
class Finding:
    """One step: what was measured, what the person saw."""

    number: int
    title: str
    outcome: Outcome = Outcome.SKIPPED
    facts: list[str] = field(default_factory=list)

    def fact(self, words: str) -> None:
        """Something that was measured or answered."""
        self.facts.append(words)
        print(f"    {words}", flush=True)

    def conclude(self, good: bool) -> None:
        """Whether it is as Answerline needs it."""
        self.outcome = Outcome.PASSED if good else Outcome.FAILED


@dataclass
class Report:
    """All of them."""

    path: Path
    versions: dict[str, str]
    findings: list[Finding] = field(default_factory=list)
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self) -> None:
        """As Markdown."""
        lines = [f"# Live check, {self.begun_at:%Y-%m-%d %H:%M} UTC", ""]
        lines += [f"* {name}: {version}" for name, version in self.versions.items()]
        lines += ["", "| step | outcome |", "|---|---|"]
        lines += [f"| {one.number}. {one.title} | {one.outcome} |" for one in self.findings]
        for one in self.findings:
            lines += ["", f"## {one.number}. {one.title}: {one.outcome}", *(f"* {fact}" for fact in one.facts)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def last_line(self) -> str:
        """The verdict."""
        counts = {outcome: sum(one.outcome is outcome for one in self.findings) for outcome in Outcome}
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        return f"live-check: {len(self.findings)} steps, {told} · {self.path}"
