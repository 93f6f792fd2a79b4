"""Each attribute of a message and of a turn survives the table."""

from dataclasses import fields, replace

from chalicelib.model import Chat, SkipReason, StoredMessage, Turn, TurnState
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.store.conversation.items import chat_from, message_from, message_item, turn_from, turn_item
from chalicelib.store.table import Put
from wire import Media, MessageKind, Quote

CHAT = Chat("tenantaaaa", "120363@g.us")
MESSAGE = StoredMessage(
    id="M1",
    chat=CHAT.id,
    sender="4711@lid",
    from_me=True,
    kind=MessageKind.DOCUMENT,
    text="Is this the right form?",
    sent_at=1,
    received_at=2,
    at="3#000",
    skipped=SkipReason.GROUP,
    variant="view_once",
    summary="Which day? Monday or Tuesday",
    quote=Quote(id="M0", from_me=True, sender="4712@lid", kind=MessageKind.IMAGE, text="Our menu"),
    author="Ada",
    mentions_us=True,
    media=Media(mime="application/pdf", size_bytes=9, seconds=1, file_name="form.pdf"),
    version=2,
    edited_at=4,
    copies=("Which day?",),
)
TURN = Turn(
    id="aaaaaaaa",
    tenant=CHAT.tenant,
    chat=CHAT.id,
    state=TurnState.THINKING,
    revision=1,
    messages=("contact#M1",),
    first_message="120363@g.us|contact#M1",
    last_message="M1",
    created_at=1,
    at="3#000",
    oldest_sent_at=1,
    due_at=5,
    versions=(2,),
    parts=("I cannot see pictures.",),
    sentence=FixedSentence.NO_PICTURES,
    calls=1,
    called_at=1,
)


def test_a_message_with_all_attributes() -> None:
    at_default = [each.name for each in fields(MESSAGE) if getattr(MESSAGE, each.name) == each.default]
    assert not at_default, "a new attribute needs a value here"
    assert message_from(CHAT.id, message_item(CHAT, MESSAGE, expires_at=9)) == MESSAGE


def test_a_message_without_optional_attributes_writes_none_of_them() -> None:
    plain = replace(MESSAGE, variant="", summary="", quote=None, author="", mentions_us=False, media=None)
    plain = replace(plain, version=0, edited_at=None)
    item = Put(message_item(CHAT, plain, expires_at=9)).attributes
    assert not {"variant", "summary", "quote", "author", "mentions_us", "media", "version", "edited_at"} & {*item}
    assert message_from(CHAT.id, item) == plain


def test_a_turn_keeps_the_versions_of_its_messages() -> None:
    assert turn_from(Put(turn_item(TURN, 30, 9)).attributes) == TURN


def test_a_turn_without_optional_attributes_writes_none_of_them() -> None:
    plain = replace(TURN, versions=(), parts=(), sentence=None, due_at=0, calls=0, called_at=None)
    item = Put(turn_item(plain, 30, 9)).attributes
    assert not {"versions", "parts", "cursor", "sentence", "due_at", "calls", "called_at", "reason"} & {*item}
    assert turn_from(item) == plain


def test_a_chat_of_an_earlier_release_has_the_name_of_its_item() -> None:
    assert chat_from("tenantaaaa", {"id": "4711@lid"}).whatsapp_id == "4711@lid"
    assert chat_from("tenantaaaa", {"id": "4711@lid", "whatsapp_id": "49170@c.us"}).whatsapp_id == "49170@c.us"
