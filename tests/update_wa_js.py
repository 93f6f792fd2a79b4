"""`python -m tests.update_wa_js`: try another wa-js against the contract, and take it only if everything passes.

WhatsApp changes its page, and wa-js follows within days. The candidate is installed beside the checkout, the contract
tests run on it in a real Chromium, and a report says what they found. `runner/package.json` and its lock file change
only if all passed; nothing that is running notices before its next start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "@wppconnect/wa-js"
BUNDLE = Path("node_modules") / PACKAGE / "dist" / "wppconnect-wa.js"
LISTS = ("package.json", "package-lock.json")
CONTRACT = (
    "tests/contract/test_wa_js.py",
    "tests/contract/test_whatsapp_simulator.py",
    "tests/contract/test_runner_whatsapp.py",
)
NPM_WITHIN = 300
CONTRACT_WITHIN = 1800


@dataclass(frozen=True)
class Verdict:
    """What the contract tests said of one bundle."""

    passed: int
    failed: tuple[tuple[str, str], ...] = ()  #: the test's name, and why in one line
    trouble: str = ""  #: why they could not be run at all

    @property
    def good(self) -> bool:
        return self.passed > 0 and not self.failed and not self.trouble


class NpmFailed(Exception):
    """npm's own words are printed above; this says what was wanted."""


def npm(directory: Path, *arguments: str) -> str:
    """Run npm, its trouble on the terminal; return what it said."""
    try:
        return subprocess.run(
            ["npm", *arguments], cwd=directory, stdout=subprocess.PIPE, text=True, check=True, timeout=NPM_WITHIN
        ).stdout.strip()
    except (subprocess.SubprocessError, OSError) as trouble:
        raise NpmFailed(f"npm {arguments[0]} did not work ({type(trouble).__name__}): is there a network?") from trouble


def contract(bundle: Path) -> Verdict:
    """Run the contract tests on this bundle."""
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", f"--junit-xml={results}", *CONTRACT]
        try:
            subprocess.run(
                command, cwd=ROOT, env={**os.environ, "WA_JS": str(bundle)}, check=False, timeout=CONTRACT_WITHIN
            )
        except subprocess.TimeoutExpired:
            return Verdict(0, trouble=f"the contract tests took longer than {CONTRACT_WITHIN // 60} minutes")
        return verdict_of(results) if results.is_file() else Verdict(0, trouble="the contract tests did not start")


def verdict_of(results: Path) -> Verdict:
    """Read pytest's own report."""
    failed = []
    cases = list(ElementTree.parse(results).iter("testcase"))
    for case in cases:
        for trouble in [*case.findall("failure"), *case.findall("error")]:
            why = (trouble.get("message") or "").strip().splitlines() or ["no reason"]
            failed.append((str(case.get("name")), why[0][:200]))
    names = {name for name, _ in failed}
    return Verdict(sum(case.get("name") not in names for case in cases), tuple(failed))


def update(
    runner: Path,
    wanted: str,
    run_npm: Callable[..., str] = npm,
    try_out: Callable[[Path], Verdict] = contract,
    say: Callable[[str], None] = print,
) -> int:
    """Try the wanted version (or tag); the exit code: 0 if the runner has it now."""
    old = str(json.loads((runner / "package.json").read_text())["dependencies"][PACKAGE])
    new = run_npm(runner, "view", f"{PACKAGE}@{wanted}", "version", "--loglevel=error").splitlines()[-1:]
    if not new:
        say(f"wa-js: there is no version {wanted}")
        return 1
    version = new[0].strip().strip("'").split("'")[-1]
    if version == old and wanted == "latest":
        say(f"wa-js: {old} is the newest")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        candidate = Path(directory)
        for name in LISTS:
            shutil.copy(runner / name, candidate / name)
        run_npm(
            candidate, "install", "--save-exact", "--ignore-scripts", "--omit-lockfile-registry-resolved", "--no-audit",
            "--no-fund", "--loglevel=error", f"{PACKAGE}@{version}",
        )  # fmt: skip
        verdict = try_out(candidate / BUNDLE)
        say(report(old, version, verdict))
        if not verdict.good:
            say(f"nothing was changed: the runner still has {old}")
            return 1
        for name in LISTS:
            shutil.copy(candidate / name, runner / name)
    run_npm(runner, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    say("runner/package.json and its lock file have it: look at the diff, `make test`, commit, deploy")
    return 0


def report(old: str, new: str, verdict: Verdict) -> str:
    """What an operator wants to know before deciding."""
    lines = [
        f"wa-js {old} → {new}",
        f"  contract: {verdict.passed} passed, {len(verdict.failed)} failed",
        *([f"  {verdict.trouble}"] if verdict.trouble else []),
        *(f"  failed: {name}: {why}" for name, why in verdict.failed),
    ]
    missing = [why for _, why in verdict.failed if "wa-js lacks" in why]
    lines.append(f"  missing functions: {missing[0].partition('wa-js lacks ')[2] if missing else 'none seen'}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.update_wa_js", description=__doc__)
    parser.add_argument("--to", default="latest", help="a version or tag of wa-js (default: latest)")
    given = parser.parse_args()
    try:
        return update(ROOT / "runner", given.to)
    except NpmFailed as trouble:
        print(trouble, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
