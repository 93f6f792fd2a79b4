"""The doctor's checks of the way to the operators, and of the news on it."""

import json
from collections.abc import Callable, Sequence

import pytest

from chalicelib.errors import TransientError
from chalicelib.model import Problem
from chalicelib.model.notices.kinds import Recipient
from chalicelib.model.notices.notice import ALARMED_AT_ATTEMPT
from chalicelib.notifications import webhook
from chalicelib.store.notifications.batches import Owed
from chalicelib.wiring import Services
from infrastructure.checks import State
from infrastructure.doctor import news
from infrastructure.doctor.news import Ways, check_news, check_ways
from tests.unit.conftest import ASSISTANT, Clock, a_tenant
from tests.unit.infrastructure.doctor.test_lines import bads
from wire import ProblemCode

URL = "https://hooks.example.com/services/secret"


def ways(addresses: int = 1, url: str = "", *, mail_leaves: bool = True) -> Ways:
    return Ways(addresses, url, "OPERATOR_EMAIL", lambda setting: f"`make up {setting}`", mail_leaves)


def public(host: str, port: int) -> Sequence[str]:
    return ["93.184.216.34"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (ways(0), "no operator's address is set, and no webhook"),
        (ways(2, mail_leaves=False), "mails to operators stay in the outbox"),
        (ways(0, URL), ""),
        (ways(1, URL, mail_leaves=False), ""),
        (ways(2), ""),
    ],
)
def test_it_says_so_where_nobody_would_hear(given: Ways, says: str) -> None:
    first, *_ = check_ways(given, look_up=public)
    assert first.state is (State.BAD if says else State.OK) and says in first.subject
    assert not first.blocks or not says
    if says:
        assert "OPERATORS_WEBHOOK=…" in first.fix and ("SMTP_URL" in first.fix) is (given.addresses > 0)


def test_it_says_who_hears() -> None:
    assert check_ways(ways(2, URL), look_up=public)[0].subject == (
        "operators hear of problems by mail (2 recipients) and by the webhook"
    )
    assert [each.subject for each in check_ways(ways(1))] == ["operators hear of problems by mail (1 recipient)"]


def private(host: str, port: int) -> Sequence[str]:
    return ["93.184.216.34", "10.0.0.1"]


def nowhere(host: str, port: int) -> Sequence[str]:
    raise OSError


def slow(host: str, port: int) -> Sequence[str]:
    raise TimeoutError


@pytest.mark.parametrize(
    ("url", "look_up", "says"),
    [
        (URL, public, ""),
        (f"{URL}?token=secret", public, ""),
        ("https://hooks.example.com:8443/secret", public, ""),
        ("http://hooks.example.com/secret", public, "it does not begin with https://"),
        ("https://localhost/secret", public, "it leads to a loopback or private host"),
        ("https://user:secret@hooks.example.com/", public, "it is not an address like"),
        ("secret", public, "it is not an address like"),
        (URL, private, "leads to a loopback or private host"),
        (URL, nowhere, "has no address"),
        (URL, slow, "has no address"),
        (f"https://{'secret' * 20}.example.com/", webhook.look_up, "has no address"),
        ("https://a..example.com/secret", webhook.look_up, "has no address"),
    ],
)
def test_a_webhook_that_could_not_be_called_is_bad_and_never_named(
    url: str, look_up: Callable[[str, int], Sequence[str]], says: str
) -> None:
    results = check_ways(ways(1, url), look_up=look_up)
    (result,) = results[1:]
    assert result.state is (State.BAD if says else State.OK) and says in result.subject
    assert not any("secret" in str(each) for each in results) and "secret" not in repr(ways(1, url))


@pytest.mark.parametrize(("status", "state"), [(200, State.OK), (204, State.OK), (404, State.BAD), (503, State.BAD)])
def test_a_message_is_posted_only_when_asked(status: int, state: State) -> None:
    bodies: list[dict[str, str]] = []

    def post(url: str, body: bytes) -> int:
        assert url == URL
        bodies.append(json.loads(body))
        return status

    (_, unasked) = check_ways(ways(1, URL), look_up=public)
    assert "TRY_WEBHOOK=1" in unasked.subject and bodies == []
    (_, asked) = check_ways(ways(1, URL), look_up=public, post=post)
    assert (asked.state, bodies) == (state, [{"text": news.TEST_MESSAGE}])
    assert "secret" not in str(asked)


def test_a_place_that_is_out_of_reach_is_bad() -> None:
    def post(url: str, body: bytes) -> int:
        raise TransientError("The webhook is out of reach; this will be tried again.")

    (_, asked) = check_ways(ways(1, URL), look_up=public, post=post)
    assert asked.state is State.BAD and "out of reach" in asked.subject


# -- news on its way ---------------------------------------------------------------------------------------------------


@pytest.fixture
def bakery(services: Services, clock: Clock) -> Services:
    """A line whose key was revoked just now."""
    services.tenants.create(a_tenant("bakery0001"), ASSISTANT, by="us")
    services.tenants.set_assistant_problem("bakery0001", Problem(ProblemCode.KEY_REVOKED, clock()))
    return services


def fail(services: Services, clock: Clock, recipient: Recipient, attempts: int) -> None:
    """Lets the mail of the notice fail so often."""
    for _ in range(attempts):
        (notice,) = services.notices.of_tenant("bakery0001", recipient)
        claimed = services.notices.claim(notice, clock())
        assert claimed is not None
        services.notices.record_failure(claimed, clock())


def test_news_that_is_new_or_failed_a_few_times_is_on_its_way(bakery: Services, clock: Clock) -> None:
    assert [each.state for each in check_news(bakery.notices, clock())] == [State.OK]
    fail(bakery, clock, Recipient.OWNER, ALARMED_AT_ATTEMPT - 1)
    assert [each.state for each in check_news(bakery.notices, clock())] == [State.OK]


def test_news_that_could_not_be_mailed_to_an_owner_for_long_is_bad(bakery: Services, clock: Clock) -> None:
    fail(bakery, clock, Recipient.OWNER, ALARMED_AT_ATTEMPT)
    (subject,) = bads(check_news(bakery.notices, clock()))
    assert subject == "mails with news could not be sent to 1 owner: bakery0001"


def test_news_that_no_operator_could_be_sent_for_long_is_bad(bakery: Services, clock: Clock) -> None:
    for failures, found in ((ALARMED_AT_ATTEMPT - 1, 0), (ALARMED_AT_ATTEMPT, 1)):
        held = bakery.notices.batches.claim(f"sender{failures}", clock())
        assert held is not None
        bakery.notices.batches.end(held, failures=failures)
        assert len(bads(check_news(bakery.notices, clock()))) == found
    clock.pass_seconds(3600)
    bad = bads(check_news(bakery.notices, clock()))
    assert "no operator could be reached with news, in 5 attempts" in bad
    assert not any("for operators has been due" in each for each in bad)  # one sentence for one cause


@pytest.mark.parametrize(
    ("channel", "says"), [("webhook", "the operators' webhook"), ("mail:0123456789abcdef", "an operator's address")]
)
def test_a_channel_that_fails_while_others_hear_is_bad(bakery: Services, clock: Clock, channel: str, says: str) -> None:
    held = bakery.notices.batches.claim("sender", clock())
    assert held is not None
    bakery.notices.batches.store_owed(held, {channel: Owed((), ALARMED_AT_ATTEMPT - 1)})
    assert bads(check_news(bakery.notices, clock())) == []
    bakery.notices.batches.store_owed(held, {channel: Owed((), ALARMED_AT_ATTEMPT)})
    assert bads(check_news(bakery.notices, clock())) == [f"{says} took no news in 5 attempts"]


def test_news_that_nothing_sends_is_bad(bakery: Services, clock: Clock) -> None:
    clock.pass_seconds(news.SENT_WITHIN.total_seconds())
    assert bads(check_news(bakery.notices, clock())) == []
    clock.pass_seconds(60)
    assert bads(check_news(bakery.notices, clock())) == [
        "news for owners has been due for 31 min, and nothing sends it",
        "news for operators has been due for 31 min, and nothing sends it",
    ]
