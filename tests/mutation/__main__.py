"""`python -m tests.mutation`: removes each condition of the stores and of the journal, and says which tests find it."""

import argparse
import os
import sys

from tests.mutation import report
from tests.mutation.campaign import BUILD, HISTORIES_EACH, all_mutants, run
from tests.mutation.named import Gone, read_equivalent

_NICENESS = 10


def main() -> int:
    """Returns the exit code: 0 if every mutant is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("chosen", nargs="*", help="only mutants whose path or name has one of these texts")
    parser.add_argument("--list", action="store_true", help="print the mutants, and judge none")
    parser.add_argument("--processes", type=int, help="how many at once; default: one per core")
    parser.add_argument(
        "--histories", type=int, default=HISTORIES_EACH, help="of each plan, where no unit test finds it"
    )
    given = parser.parse_args()
    try:
        mutants = all_mutants(given.chosen)
    except Gone as gone:
        print(gone)
        return 1
    equivalent = read_equivalent()
    if not given.chosen and (unknown := sorted({*equivalent} - {mutant.label for mutant in mutants})):
        print("equivalent.yaml names mutants that there are not:", *unknown, sep="\n  ")
        return 1
    if given.list:
        print(*(mutant.title for mutant in mutants), sep="\n")
        return 0
    os.nice(_NICENESS)
    counted = [mutant for mutant in mutants if mutant.label not in equivalent]
    judged = run(counted, processes=given.processes, histories=given.histories)
    line = report.last_line(judged)
    text = f"{report.table(mutants, judged, equivalent)}\n{line}"
    report.write(BUILD / "mutate.txt", text)
    print(text)
    return 0 if line.split(", ")[1] == "0 survive" else 1


if __name__ == "__main__":
    sys.exit(main())
