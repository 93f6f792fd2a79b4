"""`python -m tests.update_wa_js`: tests another wa-js against the contract, and adopts it only if all tests pass.

WhatsApp changes its page, and wa-js follows within days. The candidate is installed beside the checkout, the contract
tests run on it in a real Chromium, and a report lists their results. `runner/package.json` and its lock file change
only if all passed; a running stack uses the new version from its next start on.
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
    "tests/contract/whatsapp/test_simulator.py",
    "tests/contract/test_runner_whatsapp.py",
    "tests/contract/test_runner_messages.py",
)
NPM_TIMEOUT_SECONDS = 300
CONTRACT_TIMEOUT_SECONDS = 1800


@dataclass(frozen=True)
class Verdict:
    """The result of the contract tests on one bundle."""

    passed: int
    failed: tuple[tuple[str, str], ...] = ()  #: the test's name, and the reason in one line
    error: str = ""  #: the reason why the tests could not run

    @property
    def is_good(self) -> bool:
        return self.passed > 0 and not self.failed and not self.error


class NpmFailed(Exception):
    """npm failed; its own messages are printed above."""


def npm(directory: Path, *arguments: str) -> str:
    """Runs npm and returns its output; npm's errors go to the terminal."""
    try:
        return subprocess.run(
            ["npm", *arguments],
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=NPM_TIMEOUT_SECONDS,
        ).stdout.strip()
    except (subprocess.SubprocessError, OSError) as error:
        raise NpmFailed(f"npm {arguments[0]} did not work ({type(error).__name__}): is there a network?") from error


def run_contract(bundle: Path) -> Verdict:
    """Runs the contract tests on this bundle."""
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--require-tools"]
        command += [f"--junit-xml={results}", *CONTRACT]
        try:
            subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "WA_JS": str(bundle)},
                check=False,
                timeout=CONTRACT_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Verdict(0, error=f"the contract tests took longer than {CONTRACT_TIMEOUT_SECONDS // 60} minutes")
        return verdict_of(results) if results.is_file() else Verdict(0, error="the contract tests did not start")


def verdict_of(results: Path) -> Verdict:
    """Parses pytest's report."""
    failed = []
    cases = list(ElementTree.parse(results).iter("testcase"))
    for case in cases:
        for error in [*case.findall("failure"), *case.findall("error")]:
            reason = (error.get("message") or "").strip().splitlines() or ["no reason"]
            failed.append((str(case.get("name")), reason[0][:200]))
    names = {name for name, _ in failed}
    return Verdict(sum(case.get("name") not in names for case in cases), tuple(failed))


def update(
    runner: Path,
    requested: str,
    run_npm: Callable[..., str] = npm,
    try_out: Callable[[Path], Verdict] = run_contract,
    report_line: Callable[[str], None] = print,
) -> int:
    """Tests the requested version (or tag) and adopts it; returns the exit code: 0 if the runner has it now."""
    old = str(json.loads((runner / "package.json").read_text())["dependencies"][PACKAGE])
    new = run_npm(runner, "view", f"{PACKAGE}@{requested}", "version", "--loglevel=error").splitlines()[-1:]
    if not new:
        report_line(f"wa-js: there is no version {requested}")
        return 1
    version = new[0].strip().strip("'").split("'")[-1]
    if version == old and requested == "latest":
        report_line(f"wa-js: {old} is the newest")
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
        report_line(report(old, version, verdict))
        if not verdict.is_good:
            report_line(f"nothing was changed: the runner still has {old}")
            return 1
        for name in LISTS:
            shutil.copy(candidate / name, runner / name)
    run_npm(runner, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    report_line("runner/package.json and its lock file have it: look at the diff, `make test`, commit, deploy")
    return 0


def report(old: str, new: str, verdict: Verdict) -> str:
    """Returns the report on the new version."""
    lines = [
        f"wa-js {old} → {new}",
        f"  contract: {verdict.passed} passed, {len(verdict.failed)} failed",
        *([f"  {verdict.error}"] if verdict.error else []),
        *(f"  failed: {name}: {reason}" for name, reason in verdict.failed),
    ]
    missing = [reason for _, reason in verdict.failed if "wa-js lacks" in reason]
    lines.append(f"  missing functions: {missing[0].partition('wa-js lacks ')[2] if missing else 'none seen'}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.update_wa_js", description=__doc__)
    parser.add_argument("--to", default="latest", help="a version or tag of wa-js (default: latest)")
    arguments = parser.parse_args()
    try:
        return update(ROOT / "runner", arguments.to)
    except NpmFailed as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
