"""Each page and answer that GET reads, HEAD reads too: link checkers and health checks ask so first."""

import pytest

from app import create_app
from chalicelib.model import Invite
from chalicelib.tokens import sha256
from chalicelib.wiring import Services
from infrastructure.local.lambda_runtime.gateway import Gateway
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.support.headless_browser import Browser

LINK = "Zk3_-9aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789-"


@pytest.fixture
def browser(services: Services, clock: Clock) -> Browser:
    services.tenants.create(
        a_tenant("bakery0001"), ASSISTANT, by="ops", invite=Invite(sha256(LINK), "bakery0001", clock())
    )
    return Browser(Gateway(create_app(services)))


def test_every_route_that_reads_answers_head_with_the_same_view(services: Services) -> None:
    routes = create_app(services).routes
    reading = {path: methods for path, methods in routes.items() if "GET" in methods}
    assert len(reading) > 15
    for path, methods in reading.items():
        assert methods["HEAD"].view_function is methods["GET"].view_function, path
    assert not {path for path, methods in routes.items() if "HEAD" in methods} - reading.keys()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 303),
        ("/health", 200),
        ("/static/answerline.css", 200),
        ("/static/nothing.css", 404),
        ("/admin", 303),
        ("/admin/sign-in", 200),
        ("/admin/live", 401),
        ("/admin/setup/mail/unknown", 404),
        (f"/join/{LINK}", 200),
        (f"/join/{LINK}/status", 303),
        (f"/join/{LINK}/live", 200),
        ("/join/unknown", 404),
    ],
)
def test_head_answers_as_get(browser: Browser, path: str, status: int) -> None:
    read, asked = browser.get(path), browser.head(path)
    assert (asked.status, read.status) == (status, status)
    varying = {"set-cookie", "content-length"}
    assert asked.headers.keys() == read.headers.keys()
    for name in asked.headers.keys() - varying:
        assert asked.headers[name] == read.headers[name], name
