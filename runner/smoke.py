"""Proves that this machine can run a browser for us: `python -m runner.smoke`, also while the image is built.

It goes the way every session goes (Playwright's driver, our flags, our script in the page) to a page of its own that
draws a letter and an emoji, and answers as the bridge would: by what it drew.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from runner.browser.whatsapp import whatsapp
from runner.clock import SystemClock
from runner.settings import Settings, read_settings

WITHIN_SECONDS = 90.0
#: What a runner must be told and what is not needed here.
NOBODY = {"CONTROL_URL": "https://nobody.invalid", "RUNNER_BOOTSTRAP_TOKEN": "nobody asks", "DATA_DIRECTORY": "."}
DRAWN = "a letter and an emoji"
#: An emoji in colour proves its font; a letter in black proves any.
PAGE = """<!doctype html><meta charset="utf-8"><canvas width="64" height="32"></canvas><script>
const pen = document.querySelector("canvas").getContext("2d");
pen.font = "24px sans-serif";
const inked = (text, x, test) => {
  pen.fillText(text, x, 24);
  const dots = pen.getImageData(x, 0, 32, 32).data;
  return dots.some((_, at) => at % 4 === 0 && dots[at + 3] > 128 && test(dots[at], dots[at + 1], dots[at + 2]));
};
const letter = inked("A", 0, () => true);
const emoji = inked("\\u{1F600}", 32, (red, green, blue) => Math.max(red, green, blue) > 128);
const drawn = [letter && "a letter", emoji && "an emoji"].filter(Boolean).join(" and ");
window.answerline = async () => ({ value: { version: drawn } });
</script>"""


async def drawn_by(settings: Settings) -> tuple[str, str]:
    """What the browser drew, and its version."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as directory:
        async with (
            whatsapp(settings, SystemClock(), lambda: 0.0) as browsers,
            browsers.open(Path(directory) / "profile", lambda _kind, _detail: None) as page,
        ):
            await page.load()
            return (await page.observe()).version, browsers.browser.version


def main() -> int:
    """0 and one line if all of it works."""
    settings = read_settings({**os.environ, **NOBODY, "WHATSAPP_URL": "data:text/html;charset=utf-8," + quote(PAGE)})
    started = time.perf_counter()
    drawn, version = asyncio.run(asyncio.wait_for(drawn_by(settings), WITHIN_SECONDS))
    if drawn != DRAWN:
        print(f"Chromium {version} drew only {drawn or 'nothing'}: is a font missing?", file=sys.stderr)
        return 1
    print(f"Chromium {version} drew {drawn} as user {os.geteuid()} within {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
