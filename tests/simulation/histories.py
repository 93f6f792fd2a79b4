"""Many histories on all cores; finished histories are kept as long as the code stays the same."""

import hashlib
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.world import Verdict, simulate

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "build" / "simulation.json"
#: A run that is ended loses at most so many histories.
CHUNK = 20
KINDS = {
    "duplicated": ("duplicated", "untrue", "stale send", "blind", "abandoned", "too old"),
    "unanswered": ("unanswered", "misread", "takeover", "login lost", "older login", "caught up"),
    "out of order": ("out of order", "epoch", "dead", "snapshot", "room"),
    "not converged": ("not converged", "failed over", "ghost", "crashed", "two browsers"),
}
#: Counted by their own names, where there are any.
CONTENTS = ("older wording", "deleted", "private", "other login", "too many calls")


@dataclass
class Total:
    """The results of the histories so far."""

    code: str = ""
    histories: int = 0
    faults: int = 0
    messages: int = 0
    by_kind: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*KINDS, *CONTENTS), 0))
    #: Seeds that failed, with their violations.
    failed: dict[str, list[str]] = field(default_factory=dict)
    done: list[list[int]] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        self.histories += 1
        self.faults += verdict.faults
        self.messages += verdict.messages
        for kind, names in KINDS.items():
            self.by_kind[kind] += bool(verdict.kinds.intersection(names))
        for kind in CONTENTS:
            self.by_kind[kind] += kind in verdict.kinds
        if verdict.violations:
            self.failed[str(verdict.seed)] = verdict.violations[:5]

    def merge(self, other: "Total") -> None:
        self.histories += other.histories
        self.faults += other.faults
        self.messages += other.messages
        for kind, count in other.by_kind.items():
            self.by_kind[kind] += count
        self.failed |= other.failed

    def line(self) -> str:
        found = ", ".join(f"{count} {kind}" for kind, count in self.by_kind.items() if count or kind in KINDS)
        return f"{self.histories} histories, {self.faults} faults, {found}"


def run(seeds: range) -> Total:
    """Runs these histories, one after another."""
    total = Total()
    for seed in seeds:
        total.add(simulate(seed))
    return total


def run_all(count: int, *, first: int = 0, processes: int | None = None) -> Total:
    """Runs all histories and prints progress; resumes an earlier run of the same code that was ended."""
    total = _resumed()
    done = {tuple(chunk) for chunk in total.done}
    chunks = [(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    left = [chunk for chunk in chunks if chunk not in done]
    if len(left) < len(chunks):
        print(f"going on: {total.histories} histories are done", flush=True)
    began = time.monotonic()
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        running = {pool.submit(run, range(*chunk)): chunk for chunk in left}
        for number, future in enumerate(as_completed(running), 1):
            before = set(total.failed)
            total.merge(future.result())
            total.done.append(list(running[future]))
            _save(total)
            for seed in sorted(set(total.failed) - before, key=int):
                print(f"seed {seed} failed: {total.failed[seed][0]}", flush=True)
            if number % 10 == 0 or number == len(left):
                print(f"  {total.line()} · {time.monotonic() - began:.0f} s", flush=True)
    return total


def _resumed() -> Total:
    code = fingerprint()
    try:
        kept: dict[str, Any] = json.loads(STATE.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    return Total(**kept) if kept.get("code") == code else Total(code=code)


def _save(total: Total) -> None:
    STATE.parent.mkdir(exist_ok=True)
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(asdict(total)))
    new.replace(STATE)


def fingerprint() -> str:
    """Returns a digest of all code that a history runs."""
    digest = hashlib.sha256()
    for folder in ("chalice_app", "runner", "tests/simulation"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".js") and "node_modules" not in path.parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()
