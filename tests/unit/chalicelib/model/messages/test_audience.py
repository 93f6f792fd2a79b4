"""Only people are answered: what WhatsApp calls a person, and what it does not."""

from typing import Any

import pytest

from chalicelib.model import Audience, Chat, GroupAnswers, Policies, Session, SkipReason
from chalicelib.model.messages.audience import began_after_linking, is_broadcast, reason_not_to_answer
from wire import Message, MessageKind

LINKED_AT = 1_790_000_000_000
OWN = "491709999999"
SESSION = Session("tenantaaaa", number=OWN, linked_at=LINKED_AT)
EVERYTHING = Policies(groups=GroupAnswers.ALWAYS)


def reason(policies: Policies = EVERYTHING, stored: Chat | None = None, **given: Any) -> SkipReason | None:
    written = {"id": "M1", "chat": "4711@lid", "from_me": False, "sent_at_ms": LINKED_AT, "kind": MessageKind.TEXT}
    message = Message.model_validate({**written, **given})
    return reason_not_to_answer(message, stored or Chat("tenantaaaa", message.chat), SESSION, policies)


@pytest.mark.parametrize(
    ("chat", "is_person"),
    [
        ("491701234567@c.us", True),
        ("491701234567:5@c.us", True),
        ("4711@lid", True),
        ("4711.1:12@lid", True),
        ("491701234567-1600000000@g.us", True),
        ("120363000000000000@g.us", True),
        ("13135551234@lid", True),  # no number: a LID may have the same digits
        ("0@c.us", False),
        ("0:1@c.us", False),
        ("13135550002@c.us", False),
        ("13135550002:3@c.us", False),
        ("13135559999@c.us", False),
        ("13165550001@c.us", False),
        ("16505361212@c.us", False),
        ("867051314767696@bot", False),
        ("4711@hosted", False),
        ("4711@hosted.lid", False),
        ("4711@interop", False),
        ("4711@msgr", False),
        ("call@call", False),
        ("server@s.whatsapp.net", False),
        ("1203@newsletter", False),
        ("1600000000@broadcast", False),
        ("status@broadcast", False),
        (f"{OWN}@c.us", False),
        (f"{OWN}:2@c.us", False),
    ],
)
def test_a_chat_is_one_of_people(chat: str, is_person: bool) -> None:
    assert (reason(chat=chat) is None) is is_person
    assert reason(chat=chat) in (None, SkipReason.NOT_A_PERSON)


def test_broadcasts_and_channels_are_named() -> None:
    assert [each for each in ("status@broadcast", "1@newsletter", "4711@lid", "1@g.us") if is_broadcast(each)] == [
        "status@broadcast",
        "1@newsletter",
    ]


def test_the_own_chat_is_known_by_each_of_its_names() -> None:
    own: dict[str, Any] = {"chat": "4700@lid", "from_me": True}
    assert reason(**own) is None
    assert reason(**own, phone=OWN) is SkipReason.NOT_A_PERSON
    assert reason(**own, chat_alias=f"{OWN}@c.us") is SkipReason.NOT_A_PERSON
    known = Chat("tenantaaaa", f"{OWN}@c.us", phone=OWN, whatsapp_id="4700@lid")
    assert reason(stored=known, **own) is SkipReason.NOT_A_PERSON


@pytest.mark.parametrize(
    ("audience", "given", "expected"),
    [
        (Audience.EVERYONE, {"saved_contact": True, "chat_since_ms": 1}, None),
        (Audience.NEW_CHATS, {"chat_since_ms": LINKED_AT}, None),
        (Audience.NEW_CHATS, {"chat_since_ms": LINKED_AT - 4_000}, None),  # the scan is reported some seconds later
        (Audience.NEW_CHATS, {"chat_since_ms": LINKED_AT - 6_000}, SkipReason.OLDER_CHAT),
        (Audience.NEW_CHATS, {}, SkipReason.OLDER_CHAT),
        (Audience.NEW_CHATS, {"chat": "1@g.us", "sender": "4712@lid"}, None),
        (Audience.NEW_CHATS, {"chat": "1@g.us", "sender": "4712@lid", "chat_since_ms": 1}, SkipReason.OLDER_CHAT),
        (Audience.UNSAVED, {"saved_contact": False}, None),
        (Audience.UNSAVED, {"saved_contact": True}, SkipReason.SAVED_CONTACT),
        (Audience.UNSAVED, {}, SkipReason.SAVED_CONTACT),
        (Audience.UNSAVED, {"chat": "1@g.us", "sender": "4712@lid"}, None),
        (Audience.UNSAVED, {"chat": "1@g.us", "sender": "4712@lid", "saved_contact": True}, SkipReason.SAVED_CONTACT),
        (Audience.UNKNOWN, {"saved_contact": False}, SkipReason.OLDER_CHAT),
        (Audience.UNKNOWN, {"chat_since_ms": LINKED_AT}, SkipReason.SAVED_CONTACT),
        (Audience.UNKNOWN, {"chat_since_ms": LINKED_AT, "saved_contact": False}, None),
    ],
)
def test_an_audience_leaves_out(audience: Audience, given: dict[str, Any], expected: SkipReason | None) -> None:
    assert reason(Policies(audience=audience, groups=GroupAnswers.ALWAYS), **given) is expected


def test_a_chat_is_new_for_the_number_that_it_began_under() -> None:
    message = Message(id="M1", chat="4711@lid", from_me=False, sent_at_ms=LINKED_AT, kind=MessageKind.TEXT)
    chats = {number: Chat("tenantaaaa", "4711@lid", new_to=number) for number in (OWN, "491700000000", None)}
    assert [number for number, chat in chats.items() if began_after_linking(message, chat, SESSION)] == [OWN]
    assert not began_after_linking(message, chats[None], Session("tenantaaaa"))


@pytest.mark.parametrize("groups", [GroupAnswers.NEVER, GroupAnswers.UNKNOWN])
def test_a_group_is_answered_only_where_that_is_chosen(groups: GroupAnswers) -> None:
    mentioned: dict[str, Any] = {"chat": "1@g.us", "sender": "4712@lid", "mentions_us": True}
    assert reason(Policies(groups=groups), **mentioned) is SkipReason.GROUP
    assert reason(Policies(groups=GroupAnswers.MENTIONED), **mentioned) is None
