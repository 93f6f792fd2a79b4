"""`make rehearse`, or `make rehearse-upgrade` with the word `upgrade`: the last line is the verdict."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rehearsal.left_out import BENT, NOTHING_IS_MADE
from tests.rehearsal.rehearsal import rehearse
from tests.rehearsal.upgrade import rehearse_upgrade


def main(arguments: Sequence[str]) -> int:
    """0 if it ended well and nothing else went wrong."""
    play = rehearse_upgrade if "upgrade" in arguments else rehearse
    with tempfile.TemporaryDirectory(prefix="answerline-rehearsal-") as directory:
        verdict = play(Path(directory), lambda text: print(text, flush=True))
    print("\nnot as on AWS:")
    for kind, reason in NOTHING_IS_MADE.items():
        print(f"  {kind} is accepted and not made: {reason}.")
    for sentence in BENT:
        print(f"  {sentence}")
    for trouble in verdict.troubles:
        print(f"wrong: {trouble}")
    print(verdict.line)
    return 0 if verdict.ended_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
