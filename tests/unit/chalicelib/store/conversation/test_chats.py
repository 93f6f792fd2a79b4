"""Chats and their messages: one chat under both of its ids, messages stored once, and what a check reads of them."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import SkipReason
from chalicelib.store.conversation.chats import Chats
from chalicelib.store.conversation.items import chat_key
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.table import Put, Update
from tests.unit.support.racing_table import RacingTable
from tests.unit.support.recorded_chats import LID, NOW, NUMBER, PHONE, T, a_message, hand_in, recorded, stored
from wire import MessageKind, Quote


@pytest.fixture
def chats(racing: RacingTable) -> Chats:
    return Chats(racing)


# -- chats -----------------------------------------------------------------------------------------------------------


def test_a_chat_that_is_not_stored_is_none(chats: Chats) -> None:
    assert chats.get(T, LID) is None
    assert chats.find(T, a_message(chat_alias=PHONE)) is None


@pytest.mark.parametrize(("first", "second"), [(LID, PHONE), (PHONE, LID)])
def test_a_chat_is_found_under_both_of_its_ids_and_keeps_the_first(
    chats: Chats, racing: RacingTable, first: str, second: str
) -> None:
    chat = recorded(chats, a_message(chat=first, chat_alias=second))
    assert racing.operations["put"] == 2
    assert recorded(chats, a_message(2, chat=second)).id == first
    now_named = chats.get(T, first)
    assert now_named is not None and (now_named.id, now_named.whatsapp_id) == (chat.id, second)
    assert chats.get(T, second) == now_named


def test_a_chat_that_is_named_anew_is_found_under_the_new_id_alone_afterwards(chats: Chats) -> None:
    recorded(chats, a_message(chat=PHONE))
    assert recorded(chats, a_message(2, chat=LID, chat_alias=PHONE)).id == PHONE
    assert recorded(chats, a_message(3, chat=LID)).id == PHONE


def test_a_chat_is_looked_up_under_its_alias_only_if_it_is_not_stored_itself(chats: Chats, racing: RacingTable) -> None:
    for message, gets in ((a_message(), 1), (a_message(chat_alias=PHONE), 2)):
        racing.operations.clear()
        assert chats.find(T, message) is None
        assert racing.operations == {"get": gets}
    own, other = recorded(chats, a_message()), recorded(chats, a_message(chat=PHONE))
    assert own != other
    assert chats.find(T, a_message(chat_alias=PHONE)) == own
    assert chats.find(T, a_message(chat_alias="49170@c.us")) == own


def test_an_alias_never_replaces_a_chat_of_its_own(chats: Chats) -> None:
    own = recorded(chats, a_message(chat=PHONE))
    recorded(chats, a_message(chat=LID))
    found = chats.get(T, LID)
    assert found is not None
    chats.record(T, a_message(chat=PHONE), found)
    assert chats.get(T, PHONE) == own


def test_what_a_message_says_of_its_chat_is_kept_and_a_silent_one_erases_nothing(
    chats: Chats, racing: RacingTable
) -> None:
    recorded(chats, a_message(phone=NUMBER), new_to="491709999999")
    chat = recorded(chats, a_message(2))
    assert (chat.phone, chat.new_to) == (NUMBER, "491709999999")
    racing.operations.clear()
    assert recorded(chats, a_message(3, phone=NUMBER)) == chat
    assert racing.operations == {"get": 1}  # nothing is new, nothing is written
    assert recorded(chats, a_message(4, phone="491701111111"), new_to="491708888888").phone == "491701111111"
    assert chats.get(T, LID) == replace(chat, phone="491701111111", new_to="491708888888")


def test_a_chat_with_one_name_has_one_item(chats: Chats, racing: RacingTable) -> None:
    recorded(chats, a_message())
    assert racing.operations["put"] == 1


def test_a_group_has_no_phone(chats: Chats) -> None:
    group: dict[str, Any] = {"chat": "120363@g.us", "phone": NUMBER, "sender": LID}
    assert recorded(chats, a_message(**group)).phone is None
    assert recorded(chats, a_message(2, **group)).phone is None


def test_a_chat_that_another_process_created_meanwhile_is_the_one(chats: Chats, racing: RacingTable) -> None:
    racing.before_next("put", lambda: recorded(chats, a_message(phone=NUMBER)))
    chat = recorded(chats, a_message(2), new_to="491709999999")
    assert (chat.phone, chat.new_to) == (NUMBER, "491709999999")
    assert chats.get(T, LID) == chat


# -- takeovers and stops ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored_until", "read_until", "until", "first", "left"),
    [
        (0, 0, 50, True, 50),
        (40, 40, 50, True, 50),
        (40, 0, 50, False, 50),
        (60, 0, 50, False, 60),
        (50, 0, 50, False, 50),
        (60, 40, 50, False, 60),
    ],
)
def test_a_takeover_is_the_first_one_as_read_and_a_longer_one_stays(
    chats: Chats, racing: RacingTable, stored_until: int, read_until: int, until: int, first: bool, left: int
) -> None:
    chat = recorded(chats, a_message())
    racing.update(Update(chat_key(T, LID), "CHAT", set={"takeover_until": stored_until or None}))
    racing.operations.clear()
    assert chats.record_takeover(replace(chat, takeover_until=read_until), until) is first
    after = chats.get(T, LID)
    assert after is not None and after.takeover_until == left


@pytest.mark.parametrize(
    ("stopped", "resumed", "at", "left"),
    [
        (None, None, 10, 10),
        (10, None, 20, 10),
        (10, 15, 20, 20),
        (10, 15, 15, 15),
        (10, 15, 14, 10),
        (10, 15, 12, 10),
    ],
)
def test_a_chat_is_stopped_once_until_it_is_resumed(
    chats: Chats, racing: RacingTable, stopped: int | None, resumed: int | None, at: int, left: int
) -> None:
    recorded(chats, a_message())
    racing.update(Update(chat_key(T, LID), "CHAT", set={"stopped_at": stopped, "resumed_at": resumed}))
    chat = chats.get(T, LID)
    assert chat is not None
    chats.record_stop(chat, at)
    assert (racing.get(chat_key(T, LID), "CHAT") or {})["stopped_at"] == left


@pytest.mark.parametrize(
    ("stopped", "resumed", "at", "left"),
    [
        (None, None, 20, None),
        (10, None, 20, 20),
        (10, None, 10, None),
        (10, None, 9, None),
        (10, 15, 20, 20),
        (10, 15, 15, 15),
        (10, 15, 12, 15),
    ],
)
def test_only_a_later_message_resumes_a_stopped_chat(
    chats: Chats, racing: RacingTable, stopped: int | None, resumed: int | None, at: int, left: int | None
) -> None:
    recorded(chats, a_message())
    racing.update(Update(chat_key(T, LID), "CHAT", set={"stopped_at": stopped, "resumed_at": resumed}))
    chat = chats.get(T, LID)
    assert chat is not None
    racing.operations.clear()
    chats.record_resumption(chat, at)
    assert (racing.get(chat_key(T, LID), "CHAT") or {}).get("resumed_at") == left
    assert racing.operations["update"] == (left == at and resumed != at)


@pytest.mark.parametrize(("stopped_meanwhile", "resumes"), [(19, True), (20, False), (25, False)])
def test_a_stop_that_came_meanwhile_is_not_resumed_by_an_older_message(
    chats: Chats, racing: RacingTable, stopped_meanwhile: int, resumes: bool
) -> None:
    recorded(chats, a_message())
    racing.update(Update(chat_key(T, LID), "CHAT", set={"stopped_at": 10}))
    chat = chats.get(T, LID)
    assert chat is not None
    again = Update(chat_key(T, LID), "CHAT", set={"stopped_at": stopped_meanwhile})
    racing.before_next("update", lambda: racing.update(again))
    chats.record_resumption(chat, 20)
    assert ("resumed_at" in (racing.get(chat_key(T, LID), "CHAT") or {})) is resumes


# -- messages --------------------------------------------------------------------------------------------------------


def test_a_message_is_stored_once_with_or_without_its_sender(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    assert hand_in(chats, chat, a_message())
    racing.operations.clear()
    assert not hand_in(chats, chat, a_message(text="another wording"))
    assert racing.operations == {"put": 1}  # a key without a sender is looked up by its write
    assert not hand_in(chats, chat, a_message(sender=LID))
    assert hand_in(chats, chat, a_message(2, sender=LID))
    assert not hand_in(chats, chat, a_message(2, sender=LID))
    found = chats.get_message(chat, a_message())
    assert found is not None and found.text == "Are you open?"


def test_a_message_that_another_process_stored_meanwhile_stays(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    racing.before_next("put", lambda: hand_in(chats, chat, a_message(text="first")))
    assert not hand_in(chats, chat, a_message(text="second"))
    found = chats.get_message(chat, a_message())
    assert found is not None and found.text == "first"


def test_a_message_is_found_by_its_key_or_by_that_without_its_sender(chats: Chats) -> None:
    chat = recorded(chats, a_message())
    hand_in(chats, chat, a_message(1))
    hand_in(chats, chat, a_message(2, sender=LID))
    for message in (a_message(1), a_message(1, sender=LID), a_message(2, sender=LID)):
        found = chats.get_message(chat, message)
        assert found is not None and found.id == message.id
    assert chats.get_message(chat, a_message(3)) is None


def test_only_a_message_that_was_not_decrypted_is_replaced_by_its_text(chats: Chats) -> None:
    chat = recorded(chats, a_message())
    unreadable = a_message(kind=MessageKind.CIPHERTEXT, text="")
    plain = stored(chat, a_message())
    assert not chats.replace_unreadable(chat, plain, retention_days=30, now=NOW)
    assert hand_in(chats, chat, unreadable)
    assert chats.replace_unreadable(chat, plain, retention_days=30, now=NOW)
    assert not chats.replace_unreadable(chat, replace(plain, text="again"), retention_days=30, now=NOW)
    found = chats.get_message(chat, a_message())
    assert found is not None and (found.kind, found.text) == (MessageKind.TEXT, "Are you open?")


@pytest.mark.parametrize(
    ("quote", "deleted"),
    [
        (Quote(id="M1"), True),
        (Quote(id="M1", sender=LID), True),
        (Quote(id="M2"), False),
        (Quote(id="M3"), False),
        (Quote(id=None), False),
        (Quote(id="M1", from_me=True), False),
    ],
)
def test_a_quoted_message_is_known_to_be_deleted(
    chats: Chats, racing: RacingTable, quote: Quote, deleted: bool
) -> None:
    chat = recorded(chats, a_message())
    hand_in(chats, chat, a_message(1), skipped=SkipReason.DELETED)
    hand_in(chats, chat, a_message(2))
    racing.operations.clear()
    assert chats.was_deleted(chat, quote) is deleted
    assert bool(racing.operations) is (quote.id is not None)


def test_a_batch_is_read_in_its_order_without_what_expired(chats: Chats, racing: RacingTable) -> None:
    chat = recorded(chats, a_message())
    messages = [stored(chat, a_message(number)) for number in (2, 1, 3)]
    for message in messages:
        chats.store_message(chat, message, retention_days=30, now=NOW)
    turn = Turns(racing).freeze(chat, tuple(messages), retention_days=30, now=NOW)
    assert turn is not None
    racing.delete(chat_key(T, LID), f"MESSAGE#{messages[2].key}")
    assert [each.id for each in chats.get_batch(turn)] == ["M2", "M1"]


def test_an_alias_leads_to_its_chat_and_a_missing_one_to_none(chats: Chats, racing: RacingTable) -> None:
    racing.put(Put({"pk": chat_key(T, PHONE), "sk": "CHAT", "same_as": LID}))
    assert chats.get(T, PHONE) is None
    chat = recorded(chats, a_message())
    assert chats.get(T, PHONE) == chat
