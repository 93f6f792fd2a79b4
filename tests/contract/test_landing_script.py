"""The owner's page in a real Chromium: only a person at its button opens the link; a forgotten tab comes to rest."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route

from chalicelib.model import ExpiringCode, Session, Tenant, TenantState
from chalicelib.rendering.languages import translator
from chalicelib.rendering.static_files import STATIC
from chalicelib.rendering.templating import render_page
from chalicelib.web.landing_view import Screen, landing_view
from tests.story.story import browser
from wire import Phase

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


#: What the page may show, as its script sees it: each screen, and the sentence of each phase.
SHOWN = [*((screen, Phase.QR) for screen in Screen), *((Screen.MESSAGE, phase) for phase in Phase)]


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 800, "height": 600})
        page.clock.install()
        yield page


def watch(page: Page, screen: Screen, phase: Phase) -> list[str]:
    """Opens a page that shows this, and returns what it asks of its server from then on."""
    asked: list[str] = []
    section = f'<section id="phase" data-phase="{phase}" data-shown="{screen}"><h1>A state</h1></section>'
    body = (
        f'<main style="height:900px"><div id="live" data-url="{ADDRESS}/live" data-version="v" data-every-ms="15000">'
        f'{section}</div><p id="lost" hidden></p><template id="rested"><a id="wake" href="{ADDRESS}/status">Wake</a>'
        '</template></main><script src="landing.js"></script>'
    )

    def answer(route: Route) -> None:
        if "/live" in route.request.url:
            asked.append(route.request.url)
            route.fulfill(content_type="application/json", body='{"version": "v", "every_ms": 15000}')
        elif route.request.url.endswith("landing.js"):
            route.fulfill(content_type="text/javascript", body=SCRIPT)
        else:
            route.fulfill(content_type="text/html", body=body)

    page.unroute_all()
    page.route("**/*", answer)
    page.goto(f"{ADDRESS}/status")
    return asked


@pytest.mark.parametrize(("screen", "phase"), SHOWN)
def test_a_page_that_nobody_touches_rests_whatever_it_shows(tab: Page, screen: Screen, phase: Phase) -> None:
    asked = watch(tab, screen, phase)
    poll(tab)
    assert asked
    tab.clock.fast_forward(30 * 60_000)
    poll_until(tab, "#wake")
    before = len(asked)
    tab.clock.fast_forward(60 * 60_000)
    tab.evaluate("window.dispatchEvent(new Event('online'))")
    poll(tab)
    assert len(asked) == before


def test_a_page_that_somebody_uses_does_not_rest_and_one_that_rests_wakes_up(tab: Page) -> None:
    asked = watch(tab, Screen.MESSAGE, Phase.PASSKEY_REQUIRED)
    touches: list[Callable[[], None]] = [
        lambda: tab.mouse.click(30, 30),
        lambda: tab.keyboard.press("Shift"),
        lambda: tab.mouse.wheel(0, 9),
    ]
    for touch in touches:
        tab.clock.fast_forward(20 * 60_000)
        touch()
        poll(tab)
    assert tab.locator("#wake").count() == 0 and asked
    tab.clock.fast_forward(31 * 60_000)
    poll_until(tab, "#wake")
    tab.click("#wake")
    tab.wait_for_selector("#phase")


def poll(page: Page) -> None:
    """Lets the page ask its server once, and read the answer."""
    page.clock.run_for(16_000)
    page.evaluate("fetch('/another').then((answer) => answer.text())")
    page.wait_for_timeout(50)


def poll_until(page: Page, selector: str) -> None:
    for _ in range(20):
        if page.locator(selector).count():
            return
        poll(page)
    raise AssertionError(f"no {selector}")


@pytest.mark.parametrize(("width", "on_phone"), [(360, True), (519, True), (520, False), (1100, False)])
def test_on_a_phone_the_code_to_type_comes_first_and_elsewhere_the_code_to_scan(
    tab: Page, width: int, on_phone: bool
) -> None:
    tab.unroute_all()
    tab.route("**/*", lambda route: route.fulfill(content_type="text/html", body=code_page()))
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(f"{ADDRESS}/status")
    say = translator("en")
    heading = say("landing.pair.title" if on_phone else "phase.qr.title")
    assert tab.locator("h1").inner_text() == heading
    assert tab.get_by_text(say("phase.qr.sentence")).is_visible() is not on_phone
    [button] = [each for each in tab.locator(".offer a").all() if each.is_visible()]
    assert button.inner_text() == say("landing.pair.button" if on_phone else "landing.pair.offer_button")
    [offer, code] = [tab.locator(each).bounding_box() for each in (".offer", "#qr")]
    assert offer is not None and code is not None and (offer["y"] < code["y"]) is on_phone


def code_page() -> str:
    """The owner's page with a code to scan, as it is rendered, with its styles."""
    tenant = Tenant(
        id="bakery0001",
        name="Bakery",
        owner_email="inge@bakery.example",
        language="en",
        state=TenantState.ACTIVE,
        revision=1,
        created_at=0,
        assistant_version=1,
        key_ciphertext="",
        key_last4="abcd",
    )
    session = Session(tenant.id, Phase.QR, qr=ExpiringCode("2@" + "Ab3dEf9/" * 24, 60_000))
    view = landing_view(tenant, session, 0)
    content = render_page("landing/live.html", translate=translator("en"), view=view, here=ADDRESS, name="", csrf="")
    style = (STATIC / "answerline.css").read_text()
    return f'<style>{style}</style><body class="landing"><main class="page">{content}</main>'
