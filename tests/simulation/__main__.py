"""`python -m tests.simulation`: many histories, or one of them with its trace."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "chalice_app"), str(ROOT / "chalice_app" / "vendor")]


def main() -> int:
    """Returns the exit code: 0 if no history has a violation."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set is part of a history
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    from tests.simulation.histories import Total, run_all
    from tests.simulation.world import simulate

    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, help="default: one per core")
    parser.add_argument("--seed", type=int, help="only this history")
    parser.add_argument("--trace", action="store_true", help="print its trace")
    given = parser.parse_args()
    if given.seed is not None:
        verdict = simulate(given.seed, tracing=given.trace)
        print("\n".join(verdict.trace))
        for violation in verdict.violations:
            print(violation)
        one = Total()
        one.add(verdict)
        print(one.line())
        return 1 if verdict.violations else 0
    total = run_all(given.seeds, first=given.first, processes=given.processes)
    for seed, violations in sorted(total.failed.items(), key=lambda item: int(item[0])):
        print(f"seed {seed}: {violations}  (python -m tests.simulation --seed {seed} --trace)")
    print(total.line())
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
