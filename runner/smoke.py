"""The smoke test of a machine or an image: `python -m runner.smoke` starts a browser and checks its drawing.

It takes the path of every session (Playwright's driver, our flags, our script in the page) to a page of its own, which
draws a letter and an emoji and answers, in place of the bridge, with the names of the drawn shapes.
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

TIMEOUT_SECONDS = 90.0
#: Required settings that the test does not use.
UNUSED_SETTINGS = {
    "CONTROL_URL": "https://unused.invalid",
    "RUNNER_BOOTSTRAP_TOKEN": "not used",
    "DATA_DIRECTORY": ".",
}
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


async def draw(settings: Settings) -> tuple[str, str]:
    """Returns the names of the drawn shapes, and the browser's version."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as directory:
        async with (
            whatsapp(settings, SystemClock()) as browsers,
            browsers.open(Path(directory) / "profile", lambda _hint, _detail: None) as page,
        ):
            await page.load()
            return (await page.observe()).version, browsers.browser.version


def main() -> int:
    """Returns the exit code: 0, with one line, if the browser drew both."""
    address = "data:text/html;charset=utf-8," + quote(PAGE)
    settings = read_settings({**os.environ, **UNUSED_SETTINGS, "WHATSAPP_URL": address})
    started = time.perf_counter()
    drawn, version = asyncio.run(asyncio.wait_for(draw(settings), TIMEOUT_SECONDS))
    if drawn != DRAWN:
        print(f"Chromium {version} drew only {drawn or 'nothing'}: is a font missing?", file=sys.stderr)
        return 1
    print(f"Chromium {version} drew {drawn} as user {os.geteuid()} within {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
