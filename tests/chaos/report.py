"""The table at the end of a run, and the rule for a good one."""

from collections import defaultdict

from tests.chaos.run import Outcome

#: One message may be lost per so many hard kills of a runner.
KILLS_PER_LOST = 10
#: No line may be away for longer.
MAX_AWAY_SECONDS = 180.0


def is_good(outcome: Outcome) -> bool:
    """Returns whether nothing is duplicated, unanswered, out of order or left over, all news sent, no line long away,
    few lost."""
    verdict = outcome.verdict
    bad = [*verdict.duplicated, *verdict.unanswered, *verdict.out_of_order, *outcome.orphans, *outcome.left_over]
    bad += outcome.unsent
    well = outcome.online and not outcome.zombies and outcome.longest_away <= MAX_AWAY_SECONDS
    return not bad and well and len(verdict.lost) <= allowed(outcome)


def allowed(outcome: Outcome) -> int:
    """Returns how many messages may be lost: one for each started ten of hard kills."""
    return -(-outcome.hard_kills // KILLS_PER_LOST)


def last_line(outcome: Outcome) -> str:
    """Returns the verdict in one line."""
    verdict = outcome.verdict
    line = (
        f"{len(outcome.injections)} faults, {len(verdict.duplicated)} duplicated, "
        f"{len(verdict.unanswered)} unanswered, "
        f"{len(verdict.lost)} lost, {'all online' if outcome.online else 'not all online'}"
    )
    return f"chaos: {line}" if is_good(outcome) else f"chaos: FAILED: {line}"


def table(outcome: Outcome, seconds: float) -> str:
    """Returns the faults by kind, then the figures."""
    verdict = outcome.verdict
    times: dict[str, list[float | None]] = defaultdict(list)
    for injection in outcome.injections:
        times[injection.kind].append(injection.converged_after if injection.tenants else 0.0)
    rows = [("fault", "times", "longest until all it hit were online")]
    for kind, count in sorted(outcome.by_kind.items()):
        known = [each for each in times[kind] if each is not None]
        never = "" if len(known) == len(times[kind]) else ", some never"
        longest = max(known, default=0.0)
        rows.append((kind, str(count), (f"{longest:.0f} s" if longest else "–") + never))
    if not outcome.disk_full_possible:
        rows.append(("disk full", "0", "not tried: needs root and a mount"))
    skipped = ", ".join(f"{count} {reason}" for reason, count in verdict.skipped.items()) or "0"
    slopes = ", ".join(f"{kind} {slope:+.1f}" for kind, slope in sorted(outcome.slopes.items())) or "too short a run"
    converged = [each for kind in times.values() for each in kind if each is not None]
    figures = [
        ("seed", str(outcome.seed)),
        ("duration", f"{seconds:.0f} s"),
        ("messages in", f"{verdict.written} written, {verdict.stored} handed in"),
        ("answered", str(verdict.answered)),
        ("skipped with a reason", skipped),
        ("duplicated", _some(verdict.duplicated)),
        ("unanswered", _some(verdict.unanswered)),
        ("out of order", _some(verdict.out_of_order)),
        (
            "lost before hand-in",
            f"{_some(verdict.lost)} (allowed: {allowed(outcome)} at {outcome.hard_kills} hard kills)",
        ),
        ("sent again, shown once", str(outcome.resent)),
        ("longest time to converge", f"{max(converged, default=0.0):.0f} s"),
        ("longest a line was away", f"{outcome.longest_away:.0f} s"),
        ("settled after the last fault", f"{outcome.settled_after:.0f} s"),
        ("lines with snapshots", str(outcome.snapshots)),
        ("notices not sent", _some(outcome.unsent)),
        ("orphans", _some(outcome.orphans)),
        ("zombies", str(outcome.zombies)),
        ("left over after the stop", _some(outcome.left_over)),
        ("memory slope, MiB/min", slopes),
    ]
    width = max(len(row[0]) for row in [*rows, *figures])
    lines = [f"{name:<{width}}  {count:>5}  {text}" for name, count, text in rows]
    return "\n".join(["", *lines, "", *(f"{name:<{width}}  {text}" for name, text in figures), ""])


def _some(marks: list[str]) -> str:
    return str(len(marks)) + (f": {'; '.join(marks[:5])}" if marks else "")
