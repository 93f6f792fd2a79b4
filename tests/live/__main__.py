"""`python -m tests.live`: a guided check with a real account and two phones; `--rehearse` plays it on the simulator."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "chalice_app" / "vendor")]

from runner.__main__ import wa_js_version  # noqa: E402
from runner.browser.chromium import ChromiumMissing  # noqa: E402
from runner.browser.page import PageError  # noqa: E402
from runner.browser.whatsapp import WhatsApp, whatsapp  # noqa: E402
from runner.clock import SystemClock  # noqa: E402
from runner.settings import Settings  # noqa: E402
from tests.live.line import REHEARSED, Line, Pace, TooSlow, Unlinked  # noqa: E402
from tests.live.person import NotDone, Operator, Person, Rehearsed  # noqa: E402
from tests.live.report import Finding, Outcome, Report  # noqa: E402
from tests.live.steps import STEPS  # noqa: E402
from tests.simulators.whatsapp import WhatsAppSimulator  # noqa: E402
from tests.simulators.whatsapp.browser import WA_JS  # noqa: E402

WELCOME = """You need two phones: LINE, with an account that may be risked (WhatsApp may restrict it), and CONTACT.
Keep both unlocked and online. The report holds versions, times and your answers, and no number.
"""


@dataclass(frozen=True)
class Wanted:
    """What the operator asked for."""

    data: Path
    report: Path
    steps: tuple[int, ...]
    chromium: tuple[Path, ...] = ()


async def check(wanted: Wanted, person: Person, pace: Pace, simulator: WhatsAppSimulator | None = None) -> Report:
    """Link the account if it is not, then take the steps one after the other."""
    wanted.data.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        chromiums = wanted.chromium or (None,)
        browsers = [
            await stack.enter_async_context(whatsapp(_settings(wanted, one, simulator), SystemClock(), random.random))
            for one in chromiums
        ]
        line = Line(browsers[0], wanted.data, person, pace)
        report = Report(wanted.report, _versions(_settings(wanted, None, simulator), browsers))
        report.versions["WhatsApp Web"] = await _link(line)
        lost = False
        for number in wanted.steps:
            if lost:
                shutil.rmtree(line.profile, ignore_errors=True)
                await _link(line)
                lost = False
            title, step = STEPS[number - 1]
            finding = Finding(number, title)
            report.findings.append(finding)
            print(f"\n{number}. {title}", flush=True)
            try:
                if await person.agrees("Take this step?"):
                    await step(line, finding, browsers[1:])
            except NotDone as why:
                finding.fact(f"not finished: {why}")
            except (PageError, TooSlow, Unlinked, OSError) as trouble:
                finding.fact(f"{type(trouble).__name__}: {trouble}")
                finding.outcome = Outcome.FAILED
                lost = isinstance(trouble, Unlinked)
            report.write()
    return report


async def _link(line: Line) -> str:
    """WhatsApp Web's own version."""
    async with line.opened() as page:
        await line.link(page)
        await line.until_online(page)
        if "chat" not in line.notes:
            heard = await line.hear(page, "Hello LINE")
            line.note(chat=heard["chat"])
        return (await page.observe()).version


def _settings(wanted: Wanted, chromium: Path | None, simulator: WhatsAppSimulator | None) -> Settings:
    simulated = {
        "browser_host_rules": simulator.host_rules,
        "browser_certificate_spki": simulator.certificate_spki,
    } if simulator is not None else {}  # fmt: skip
    return Settings(
        control_url="https://unused.example.com",
        runner_bootstrap_token="unused-here",
        data_directory=wanted.data,
        wa_js=WA_JS,
        chromium=chromium,
        **simulated,
    )


def _versions(settings: Settings, browsers: list[WhatsApp]) -> dict[str, str]:
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "commit": git.stdout.strip() or "unknown",
        "wa-js": wa_js_version(settings),
        "Chromium": ", ".join(f"{one.browser.path.name} {one.browser.version}" for one in browsers),
    }


def _steps(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in text.split(","))
    if not all(1 <= number <= len(STEPS) for number in numbers):
        raise argparse.ArgumentTypeError(f"steps are 1 to {len(STEPS)}")
    return numbers


async def rehearse(wanted: Wanted, says_no_to: tuple[str, ...] = ()) -> Report:
    """The same on the simulator, with a person made of a script."""
    async with WhatsAppSimulator() as simulator:
        return await check(wanted, Rehearsed(simulator, says_no_to), REHEARSED, simulator)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live", description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on the simulator, without phones")
    parser.add_argument("--data", type=Path, help="where the login and its copies are kept (default: data/live-check)")
    parser.add_argument("--report", type=Path, help="default: live-check-<date>.md beside the data")
    parser.add_argument("--steps", type=_steps, default=tuple(range(1, len(STEPS) + 1)), help="e.g. 1,4,8")
    parser.add_argument("--chromium", type=Path, action="append", default=[], help="for step 6; may be repeated")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="live-check-")) if given.rehearse and given.data is None else None
    data = given.data or scratch or ROOT / "data" / "live-check"
    default = (scratch or data.parent) / f"live-check-{date.today():%Y-%m-%d}.md"  # noqa: DTZ011
    wanted = Wanted(data.absolute(), given.report or default, given.steps, tuple(given.chromium))
    try:
        if given.rehearse:
            report = asyncio.run(rehearse(wanted))
        else:
            print(WELCOME)
            report = asyncio.run(check(wanted, Operator(), Pace()))
    except (NotDone, PageError, TooSlow, Unlinked, ChromiumMissing) as trouble:
        print(f"live-check: {trouble}", file=sys.stderr)
        return 1
    finally:
        if scratch is not None:
            shutil.rmtree(scratch / "profile", ignore_errors=True)
    print(f"\n{report.last_line}")
    return 1 if any(one.outcome is Outcome.FAILED for one in report.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
