"""`make rehearse`, and with `upgrade [COMMIT]` `make rehearse-upgrade [FROM=…]`: the last line is the verdict."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rehearsal.left_out import DIFFERENCES, NOTHING_IS_MADE
from tests.rehearsal.rehearsal import Verdict, rehearse
from tests.rehearsal.upgrade import Verdict as UpgradeVerdict
from tests.rehearsal.upgrade import rehearse_upgrade


def main(arguments: Sequence[str]) -> int:
    """Returns 0 if the rehearsal ended well and no error was found."""
    with tempfile.TemporaryDirectory(prefix="answerline-rehearsal-") as directory:
        verdict: UpgradeVerdict | Verdict
        if arguments[:1] == ["upgrade"]:
            verdict = rehearse_upgrade(Path(directory), _say, *arguments[1:2])
        else:
            verdict = rehearse(Path(directory), _say)
    print("\nnot as on AWS:")
    for kind, reason in NOTHING_IS_MADE.items():
        print(f"  {kind} is accepted and not created: {reason}.")
    for sentence in DIFFERENCES:
        print(f"  {sentence}")
    for problem in verdict.problems:
        print(f"wrong: {problem}")
    print(verdict.line)
    return 0 if verdict.ended_well else 1


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
