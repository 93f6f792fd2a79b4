"""`python -m tests.live`: a guided check with a real account and two phones; `--rehearse` runs it on the simulator."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "chalice_app"), str(ROOT / "chalice_app" / "vendor")]

from runner.__main__ import wa_js_version  # noqa: E402
from runner.browser.chromium import ChromiumMissing  # noqa: E402
from runner.browser.page import PageError  # noqa: E402
from runner.browser.whatsapp import WhatsApp, whatsapp  # noqa: E402
from runner.clock import SystemClock  # noqa: E402
from runner.settings import Settings  # noqa: E402
from tests.live.line import REHEARSAL, Line, TimedOut, Timing, Unlinked  # noqa: E402
from tests.live.person import Declined, Operator, Person, ScriptedPerson  # noqa: E402
from tests.live.report import Finding, Outcome, Report  # noqa: E402
from tests.live.steps import STEPS  # noqa: E402
from tests.simulators.whatsapp import WhatsAppSimulator  # noqa: E402
from tests.simulators.whatsapp.browser import WA_JS  # noqa: E402

WELCOME = """You need two phones: LINE, with an account that may be risked (WhatsApp may restrict it), and CONTACT.
Keep both unlocked and online. The report holds versions, times and your answers, and no number.
"""


@dataclass(frozen=True)
class Options:
    """The options of a check."""

    data: Path
    report: Path
    steps: tuple[int, ...]
    chromium: tuple[Path, ...] = ()


async def check(options: Options, person: Person, timing: Timing, simulator: WhatsAppSimulator | None = None) -> Report:
    """Links the account if necessary, then takes the steps one after the other."""
    options.data.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        chromiums = options.chromium or (None,)
        browsers = [
            await stack.enter_async_context(whatsapp(_settings(options, each, simulator), SystemClock()))
            for each in chromiums
        ]
        line = Line(browsers[0], options.data, person, timing)
        report = Report(options.report, _versions(_settings(options, None, simulator), browsers))
        report.versions["WhatsApp Web"] = await _link(line)
        lost = False
        for number in options.steps:
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
            except Declined as reason:
                finding.add_fact(f"not finished: {reason}")
            except (PageError, TimedOut, Unlinked, OSError) as error:
                finding.add_fact(f"{type(error).__name__}: {error}")
                finding.outcome = Outcome.FAILED
                lost = isinstance(error, Unlinked)
            report.write()
    return report


async def _link(line: Line) -> str:
    """Links the account if necessary; returns the version of WhatsApp Web."""
    async with line.open() as page:
        await line.link(page)
        await line.until_online(page)
        if "chat" not in line.memory:
            received = await line.receive(page, "Hello LINE")
            line.remember(chat=received["chat"])
        return (await page.observe()).version


def _settings(options: Options, chromium: Path | None, simulator: WhatsAppSimulator | None) -> Settings:
    simulated = {
        "browser_host_rules": simulator.host_rules,
        "browser_certificate_spki": simulator.certificate_spki,
    } if simulator is not None else {}  # fmt: skip
    return Settings(
        control_url="https://unused.example.com",
        runner_bootstrap_token="unused-here",
        data_directory=options.data,
        wa_js=WA_JS,
        chromium=chromium,
        **simulated,
    )


def _versions(settings: Settings, browsers: list[WhatsApp]) -> dict[str, str]:
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "commit": git.stdout.strip() or "unknown",
        "wa-js": wa_js_version(settings),
        "Chromium": ", ".join(f"{each.browser.path.name} {each.browser.version}" for each in browsers),
    }


def _steps(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in text.split(","))
    if not all(1 <= number <= len(STEPS) for number in numbers):
        raise argparse.ArgumentTypeError(f"steps are 1 to {len(STEPS)}")
    return numbers


async def rehearse(options: Options, disagrees_with: tuple[str, ...] = ()) -> Report:
    """Runs the check on the simulator, with a scripted person."""
    async with WhatsAppSimulator() as simulator:
        return await check(options, ScriptedPerson(simulator, disagrees_with), REHEARSAL, simulator)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live", description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on the simulator, without phones")
    parser.add_argument("--data", type=Path, help="where the login and its copies are kept (default: data/live-check)")
    parser.add_argument("--report", type=Path, help="default: live-check-<date>.md beside the data")
    parser.add_argument("--steps", type=_steps, default=tuple(range(1, len(STEPS) + 1)), help="e.g. 1,4,8")
    parser.add_argument("--chromium", type=Path, action="append", default=[], help="for step 6; may be repeated")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="live-check-")) if arguments.rehearse and arguments.data is None else None
    data = arguments.data or scratch or ROOT / "data" / "live-check"
    default = (scratch or data.parent) / f"live-check-{date.today():%Y-%m-%d}.md"  # noqa: DTZ011
    options = Options(data.absolute(), arguments.report or default, arguments.steps, tuple(arguments.chromium))
    try:
        if arguments.rehearse:
            report = asyncio.run(rehearse(options))
        else:
            print(WELCOME)
            report = asyncio.run(check(options, Operator(), Timing()))
    except (Declined, PageError, TimedOut, Unlinked, ChromiumMissing) as error:
        print(f"live-check: {error}", file=sys.stderr)
        return 1
    finally:
        if scratch is not None:
            shutil.rmtree(scratch / "profile", ignore_errors=True)
    print(f"\n{report.last_line}")
    return 1 if any(each.outcome is Outcome.FAILED for each in report.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
