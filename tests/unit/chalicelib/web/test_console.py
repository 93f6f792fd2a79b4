"""The widget in the CloudWatch console: its rows, their order, and no secret in them."""

import re
from typing import Any

import pytest

from chalicelib.errors import TransientError
from chalicelib.model import Assistant, Problem, Tenant, TenantState, Turn, TurnState
from chalicelib.reconcilers import health_report
from chalicelib.store.table import Update
from chalicelib.web import console
from chalicelib.wiring import Services
from tests.unit.conftest import Clock, a_tenant
from tests.unit.support.headless_browser import Page
from wire import Phase, ProblemCode

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:answerline-unit-overview"
NUMBER = "491709999999"
HOSTILE = """<img src=x onerror=alert(1)> "Müller" & <cwdb-action action="call" endpoint="arn:evil">{}</cwdb-action>"""


def tenant(id: str, **more: Any) -> Tenant:
    return a_tenant(id, **{"name": f"The {id}", **more})


def add(services: Services, id: str, *, session: dict[str, Any] | None = None, **more: Any) -> None:
    services.tenants.create(tenant(id, **more), Assistant(1, "gpt-6-luna", "Be kind."), by="operator@example.com")
    if session:
        services.table.update(Update(f"TENANT#{id}", "SESSION", set=session))


def online(clock: Clock, **more: Any) -> dict[str, Any]:
    return {"phase": "online", "number": NUMBER, "since": clock() - 180_000, "runner": "runneraaaa", **more}


def shown(services: Services, **event: Any) -> Page:
    return Page(200, {}, (), console.render_widget(services, event, FUNCTION), "")


def rows(page: Page) -> list[str]:
    """The names in the table, from top to bottom."""
    return re.findall(r'/admin/tenants/([a-z0-9]+)"', page.html)


def test_it_describes_itself_when_cloudwatch_asks(services: Services) -> None:
    services.table = None  # type: ignore[assignment]
    description = console.render_widget(services, {"describe": True}, FUNCTION)
    assert description.startswith("## ") and "only: trouble" in description and "lambda:InvokeFunction" in description


def test_a_healthy_line_is_one_row(services: Services, clock: Clock) -> None:
    heard = {"last_message_at": clock() - 120_000, "last_reply_at": clock() - 60_000}
    add(services, "bakeryaaaa", session=online(clock, **heard))
    services.counters.count("bakeryaaaa", "tokens", "2026-09", 12_345, expires_at=clock())
    page = shown(services)
    assert "1 should run, 1 online" in page.text
    assert "The bakeryaaaa Online 3 min 2 min ago 1 min ago 0 12,345" in page.text
    assert 'href="https://line.example.com/api/admin/tenants/bakeryaaaa"' in page.html
    assert NUMBER not in page.html and "owner@example.com" not in page.html


def test_the_worst_come_first_each_with_its_problem(services: Services, clock: Clock) -> None:
    minute = 60_000
    down = {"phase": "failed", "down_since": clock() - 6 * minute}
    add(services, "fineaaaaaa", session=online(clock))
    add(services, "pausedaaaa", state=TenantState.PAUSED)
    add(services, "downaaaaaa", session=online(clock, **down))
    revoked = Problem(ProblemCode.KEY_REVOKED, clock() - 2 * 3_600_000, "sk-…1234 was refused")
    add(services, "keyaaaaaaa", session=online(clock), assistant_problem=revoked)
    page = shown(services)
    assert rows(page) == ["downaaaaaa", "keyaaaaaaa", "fineaaaaaa", "pausedaaaa"]
    assert "3 should run, 2 online, 1 not running for more than 5 min, 1 needs a person" in page.text
    assert "not running for 6 min" in page.text
    assert "Key revoked for 2 h OpenAI does not accept this key any more." in page.text
    assert "sk-…1234" not in page.text


@pytest.mark.parametrize("phase", ["logged_out", "qr", "idle"])
def test_a_disconnected_line_is_first_since_its_login_ended_whatever_its_page_shows(
    services: Services, clock: Clock, phase: str
) -> None:
    minute = 60_000
    add(services, "downaaaaaa", session=online(clock, phase="failed", down_since=clock() - 6 * minute))
    ended = {"phase": phase, "since": clock(), "last_number": NUMBER, "logged_out_at": clock() - 27 * minute}
    add(services, "zooaaaaaaa", session=ended)
    page = shown(services)
    assert rows(page) == ["zooaaaaaaa", "downaaaaaa"]
    assert "The zooaaaaaaa Disconnected 27 min" in page.text and "1 disconnected, 1 not running" in page.text
    assert "Nobody who writes gets an answer" in page.text


def test_only_trouble_leaves_out_healthy_lines_and_a_click_shows_all(services: Services, clock: Clock) -> None:
    add(services, "fineaaaaaa", session=online(clock))
    page = shown(services, only="trouble")
    assert rows(page) == [] and "No line is in trouble." in page.text
    add(services, "conflictaa", session=online(clock, problem={"code": "conflict", "since": clock()}))
    page = shown(services, only="trouble")
    assert rows(page) == ["conflictaa"]
    assert f'<cwdb-action action="call" endpoint="{FUNCTION}" display="widget">{{"only": "everything"}}' in page.html
    assert rows(shown(services, only="everything")) == ["conflictaa", "fineaaaaaa"]


def test_what_waits_for_an_answer_is_counted_with_its_age(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(services, "slowaaaaaa", session=online(clock))
    waits = Turn(
        id="t",
        tenant="slowaaaaaa",
        chat="4711@lid",
        state=TurnState.THINKING,
        revision=1,
        messages=("a", "b"),
        first_message="a",
        last_message="b",
        created_at=0,
        at="",
        oldest_sent_at=clock() - 130_000,
    )
    monkeypatch.setattr(services.turns, "open_turns", lambda **asked: [waits])
    page = shown(services, only="trouble")
    assert "2 for 2 min" in page.text


def test_more_tenants_than_fit_are_counted_and_read_without_asking_for_each(services: Services, clock: Clock) -> None:
    for number in range(205):
        add(services, f"tenant{number:04}", session=online(clock))
    asked: list[str] = []
    services.table._before = asked.append  # type: ignore[attr-defined]
    page = shown(services)
    assert len(rows(page)) == 200 and "5 more lines are not shown" in page.text
    assert sorted(asked) == ["get many", "get many", "query", "query", "query"]
    assert len(rows(shown(services, rows=7))) == 7
    assert len(rows(shown(services, rows="many"))) == 200


def test_names_are_rendered_as_text(services: Services, clock: Clock) -> None:
    add(services, "hostileaaa", session=online(clock), name=HOSTILE)
    page = shown(services)
    assert HOSTILE not in page.html and "<img" not in page.html and page.html.count("<cwdb-action") == 1
    assert HOSTILE.split(" ")[0] in page.text or "&lt;img" in page.html


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_has_no_script_and_its_colours_follow_the_console(services: Services, clock: Clock, theme: str) -> None:
    add(services, "fineaaaaaa", session=online(clock))
    html = shown(services, widgetContext={"theme": theme}).html
    assert not re.search(r"<script|\son[a-z]+=|javascript:|<iframe|<use\b", html)
    assert ("#16191f" in html) is (theme == "light")
    assert ("#e3e8ee" in html) is (theme == "dark")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TransientError("The database is busy; this will be tried again."), "The database is busy"),
        (ValueError(f"what is {NUMBER}?"), "Something went wrong on our side (ValueError)"),
    ],
)
def test_an_error_is_a_sentence_in_the_widget_and_a_line_in_the_log(
    services: Services, caplog: pytest.LogCaptureFixture, error: Exception, sentence: str
) -> None:
    def fail(operation: str) -> None:
        raise error

    services.table._before = fail  # type: ignore[attr-defined]
    page = shown(services, widgetContext={"theme": "dark"})
    assert "The overview cannot be shown just now." in page.text and sentence in page.text
    assert [record.message for record in caplog.records] == ["overview_failed"]
    assert NUMBER not in str([vars(record) for record in caplog.records]) + page.html


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_words(services: Services, clock: Clock, phase: Phase) -> None:
    add(services, "someaaaaaa", session={"phase": phase, "number": NUMBER, "down_since": 1})
    assert rows(shown(services)) == ["someaaaaaa"]


def test_an_installation_without_tenants_has_a_sentence(services: Services) -> None:
    assert "0 should run, 0 online" in shown(services).text
    assert "There are no tenants yet." in shown(services).text


def test_the_headline_counts_unscanned_codes_and_silent_runners(services: Services, clock: Clock) -> None:
    add(services, "newaaaaaaa", session={"phase": "qr", "watched_until": clock() + 60_000, "runner": "runneraaaa"})
    services.runners.register("runneraaaa", "0" * 64, 5, clock())
    clock.pass_seconds(61)
    add(services, "roomaaaaaa", session={"number": NUMBER, "unplaced": "UNPLACED", "unplaced_since": clock() - 1})
    stands = health_report.read(services)
    assert console.headline(stands) == "1 should run, 0 online, 1 waiting for room on a runner, 1 runner not heard"
    clock.pass_seconds(-10)
    assert "1 waiting for the owner’s scan" in console.headline(health_report.read(services))


def test_the_headline_says_when_many_replies_were_given_up(services: Services, clock: Clock) -> None:
    for number in range(10):
        services.ended_turns.count("someaaaaaa", clock(), ended=True, given_up=number < 3)
    assert console.headline(health_report.read(services)).endswith(", 30 % of the last replies given up")
    for _ in range(5):
        services.ended_turns.count("someaaaaaa", clock(), ended=True)
    assert "given up" not in console.headline(health_report.read(services))
