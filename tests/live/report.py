"""The report of a live check: a file that is rewritten after every step, so that an interrupted check counts, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """The outcome of a step."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass
class Finding:
    """The finding of a step: the measurements and the person's answers."""

    number: int
    title: str
    outcome: Outcome = Outcome.SKIPPED
    facts: list[str] = field(default_factory=list)

    def add_fact(self, words: str) -> None:
        """Adds a measurement or an answer."""
        self.facts.append(words)
        print(f"    {words}", flush=True)

    def conclude(self, is_good: bool) -> None:
        """Sets the outcome: passed if the facts are as Answerline needs them."""
        self.outcome = Outcome.PASSED if is_good else Outcome.FAILED


@dataclass
class Report:
    """The findings of a check."""

    path: Path
    versions: dict[str, str]
    findings: list[Finding] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self) -> None:
        """Writes the report as Markdown."""
        lines = [f"# Live check, {self.started_at:%Y-%m-%d %H:%M} UTC", ""]
        lines += [f"* {name}: {version}" for name, version in self.versions.items()]
        lines += ["", "| step | outcome |", "|---|---|"]
        lines += [f"| {each.number}. {each.title} | {each.outcome} |" for each in self.findings]
        for each in self.findings:
            lines += ["", f"## {each.number}. {each.title}: {each.outcome}", *(f"* {fact}" for fact in each.facts)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def last_line(self) -> str:
        """The verdict in one line."""
        counts = {outcome: sum(each.outcome is outcome for each in self.findings) for outcome in Outcome}
        totals = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        return f"live-check: {len(self.findings)} steps, {totals} · {self.path}"
