"""The tenant's page says which messages got no reply."""

from chalicelib.model import SkipReason
from chalicelib.replies.unanswered import report_messages
from chalicelib.store.conversation.unanswered import UnansweredMessage
from chalicelib.web.messages import REASON_NAMES
from tests.unit.support.admin_browser import Admin
from wire import MessageKind


def test_each_reason_has_words_of_its_own() -> None:
    assert {*REASON_NAMES} == {*SkipReason}
    assert len({*REASON_NAMES.values()}) == len(REASON_NAMES)


def test_the_page_counts_and_lists_them(olga: Admin) -> None:
    tenant = olga.create()
    assert "Each message that came was answered" in olga.browser.get(f"/admin/tenants/{tenant}").text
    now = olga.services.clock()
    chats = ("491701234567@c.us", "4711@lid", "4712@lid")
    told = [
        UnansweredMessage(now + at, chat, f"contact#M{at}", MessageKind.VOICE, SkipReason.NO_TEXT_VOICE)
        for at, chat in enumerate(chats)
    ]
    report_messages(olga.services, olga.services.tenants.get(tenant), told, now)
    shown = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "3 today" in shown and "A voice message" in shown
    assert "+491701234567" in shown and "4711@lid" in shown


def test_a_kind_is_shown_in_peoples_words(olga: Admin) -> None:
    tenant, now = olga.create(), olga.services.clock()
    secret = UnansweredMessage(now, "4711@lid", "contact#M", MessageKind.CIPHERTEXT, SkipReason.NEVER_DECRYPTED)
    report_messages(olga.services, olga.services.tenants.get(tenant), [secret], now)
    shown = olga.browser.get(f"/admin/tenants/{tenant}").text
    assert "not readable" in shown and "ciphertext" not in shown
