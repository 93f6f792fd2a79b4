"""`make rehearse`: its last line is the verdict."""

import sys
import tempfile
from pathlib import Path

from tests.rehearsal.left_out import BENT, NOTHING_IS_MADE
from tests.rehearsal.rehearsal import rehearse


def main() -> int:
    """0 if the story ended well and nothing else went wrong."""
    with tempfile.TemporaryDirectory(prefix="answerline-rehearsal-") as directory:
        verdict = rehearse(Path(directory), print)
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
    sys.exit(main())
