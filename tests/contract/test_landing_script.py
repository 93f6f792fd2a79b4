"""The owner's page in a real Chromium: no scanner that runs scripts opens the link, only a person at its button."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route

from chalicelib.rendering.static_files import STATIC
from tests.story.story import browser

pytestmark = pytest.mark.chromium

ADDRESS = "https://line.example.com/api/join/token"
SCRIPT = (STATIC / "landing.js").read_text()
PAGE = (
    f'<main style="height:3000px"><form method="post" action="{ADDRESS}/open" id="open-form" data-working="…">'
    '<button id="open">Show my code</button></form></main><script src="landing.js"></script>'
)


@pytest.fixture
def opened() -> Iterator[tuple[Page, list[str]]]:
    """The page of a link, as its server would answer it, and the forms that were posted."""
    posted: list[str] = []

    def answer(route: Route) -> None:
        request = route.request
        if request.method == "POST":
            posted.append(request.url)
            route.fulfill(content_type="text/html", body="<p id=status>the code</p>")
        elif request.url.endswith("landing.js"):
            route.fulfill(content_type="text/javascript", body=SCRIPT)
        else:
            route.fulfill(content_type="text/html", body=PAGE)

    with browser() as chromium:
        page = chromium.new_page(has_touch=True)
        page.route("**/*", answer)
        page.goto(ADDRESS)
        yield page, posted


def test_a_scanner_that_runs_scripts_moves_scrolls_and_types_opens_nothing(opened: tuple[Page, list[str]]) -> None:
    page, posted = opened
    page.evaluate(
        """() => {
          for (const kind of ["pointermove", "pointerdown", "touchstart", "wheel", "keydown"]) {
            window.dispatchEvent(new Event(kind, { bubbles: true }));
          }
        }"""
    )
    # What a browser's driver does is as trusted as what a person does.
    page.mouse.move(40, 200)
    page.mouse.wheel(0, 500)
    page.mouse.click(40, 400)
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.touchscreen.tap(40, 400)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert posted == [] and page.locator("#open").is_visible()


@pytest.mark.parametrize("act", ["click", "key", "tap"])
def test_a_person_opens_the_link_once_with_its_button(opened: tuple[Page, list[str]], act: str) -> None:
    page, posted = opened
    match act:
        case "click":
            page.dblclick("#open", no_wait_after=True)
        case "key":
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        case _:
            page.tap("#open", no_wait_after=True)
    page.wait_for_selector("#status")
    assert posted == [f"{ADDRESS}/open"]
