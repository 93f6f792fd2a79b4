"""The report of a campaign: a table of mutants and their finders, and the last line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutation.mutant import Mutant
from tests.mutation.results import HISTORIES, NOTHING, UNITS, Result


def last_line(judged: Mapping[str, Result]) -> str:
    """Returns the summary of these results."""
    survive = sum(result.by == NOTHING for result in judged.values())
    histories = sum(result.by == HISTORIES for result in judged.values())
    return f"{len(judged)} mutants, {survive} survive, {histories} found by histories"


def table(mutants: Sequence[Mutant], judged: Mapping[str, Result], equivalent: Mapping[str, str]) -> str:
    """Returns one line for each mutant with its finder, those that survive first, and the equivalent ones last."""
    lines = []
    for by in (NOTHING, HISTORIES, UNITS):
        of_kind = [(mutant, judged[mutant.label]) for mutant in mutants if mutant.label in judged]
        of_kind = [(mutant, result) for mutant, result in of_kind if result.by == by]
        if of_kind:
            lines.append(f"-- found by {by}: {len(of_kind)}")
            lines += [f"{mutant.title} | {result.finder or 'survives'}" for mutant, result in of_kind]
    same = [mutant for mutant in mutants if mutant.label in equivalent]
    if same:
        lines.append(f"-- not counted, because they change nothing that a test here can see: {len(same)}")
        lines += [f"{mutant.title} | {equivalent[mutant.label]}" for mutant in same]
    seconds = [result.seconds for result in judged.values()]
    if seconds:
        lines.append(f"-- {sum(seconds):.0f} s of work, {sum(seconds) / len(seconds):.1f} s for each mutant")
    return "\n".join(lines)


def write(file: Path, text: str) -> None:
    """Writes the report."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")
