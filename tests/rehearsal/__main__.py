"""`make rehearse`, and with `upgrade [COMMIT]` `make rehearse-upgrade [FROM=…]`: the last line is the verdict."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rehearsal.left_out import DIFFERENCES, NOTHING_IS_MADE
from tests.rehearsal.rehearsal import Verdict, rehearse
from tests.rehearsal.upgrade import Verdict as UpgradeVerdict
from tests.rehearsal.upgrade import rehearse_upgrade


def main(arguments: Sequence[str]) -> int:
    """Returns 0 if the rehearsal ended well and no error was found; its data and logs stay if it did not."""
    directory = Path(tempfile.mkdtemp(prefix="answerline-rehearsal-"))
    verdict: UpgradeVerdict | Verdict
    try:
        if arguments[:1] == ["upgrade"]:
            verdict = rehearse_upgrade(directory, _say, *arguments[1:2])
        else:
            verdict = rehearse(directory, _say)
    except BaseException:
        _say(f"data and logs: {directory}")
        raise
    if verdict.ended_well:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        _say(f"data and logs: {directory}")
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
