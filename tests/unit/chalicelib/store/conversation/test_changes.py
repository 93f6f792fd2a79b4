"""Changes of stored messages: what is erased with a message; no process overwrites what another one changed."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.model import Chat, SkipReason, StoredMessage, Turn, TurnState
from chalicelib.store.conversation.changes import MessageChanges
from chalicelib.store.conversation.chats import Chats
from chalicelib.store.conversation.items import chat_key, message_item, turn_item
from chalicelib.store.conversation.turns import Turns
from chalicelib.store.table import Put, Update
from tests.unit.support.racing_table import RacingTable
from wire import MessageKind, Quote

CHAT = Chat("tenantaaaa", "4711@lid")
KEY = chat_key(CHAT.tenant, CHAT.id)
NOW = 1_790_000_000_000
SECRET = "My card is 4711 4711 4711 4711"
MESSAGE = StoredMessage(
    id="M1",
    chat=CHAT.id,
    sender=None,
    from_me=False,
    kind=MessageKind.TEXT,
    text=SECRET,
    sent_at=NOW,
    received_at=NOW,
    at=f"{NOW:013d}#000",
)
REPLY = Turn(
    id="turnaaaa",
    tenant=CHAT.tenant,
    chat=CHAT.id,
    state=TurnState.READY,
    revision=3,
    messages=(MESSAGE.key,),
    first_message="4711@lid|M1",
    last_message="M1",
    created_at=NOW,
    at=MESSAGE.at,
    oldest_sent_at=NOW,
    parts=(f"You wrote: {SECRET}",),
)


@pytest.fixture
def changes(racing: RacingTable) -> MessageChanges:
    racing.put(Put({"pk": KEY, "sk": "CHAT", "id": CHAT.id}))
    return MessageChanges(racing)


def store(racing: RacingTable, message: StoredMessage) -> None:
    racing.put(Put(message_item(CHAT, message, expires_at=9), when=None))


def text_of(racing: RacingTable, message: StoredMessage = MESSAGE) -> str:
    return str((racing.get(KEY, f"MESSAGE#{message.key}") or {})["text"])


# -- a message as it was read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "skipped", "rewritten"),
    [
        (0, None, True),
        (1, None, False),
        (0, SkipReason.GROUP, True),
        (0, SkipReason.DELETED, False),
    ],
)
@pytest.mark.parametrize("read", [0, 2])
def test_a_message_is_rewritten_as_it_was_read_unless_it_is_deleted(
    changes: MessageChanges, racing: RacingTable, read: int, version: int, skipped: SkipReason | None, rewritten: bool
) -> None:
    store(racing, replace(MESSAGE, version=read + version, skipped=skipped))
    before = replace(MESSAGE, version=read)
    assert changes.rewrite(CHAT, before, replace(before, text="Never mind", version=read + 1)) is rewritten
    assert text_of(racing) == ("Never mind" if rewritten else SECRET)
    assert (racing.get(KEY, f"MESSAGE#{MESSAGE.key}") or {})["expires_at"] == 9


def test_a_message_that_expired_is_not_made_again(changes: MessageChanges, racing: RacingTable) -> None:
    assert not changes.erase(CHAT, MESSAGE)
    assert racing.get(KEY, f"MESSAGE#{MESSAGE.key}") is None


def test_what_copies_say_is_kept_from_the_deletion_until_it_is_forgotten(
    changes: MessageChanges, racing: RacingTable
) -> None:
    store(racing, MESSAGE)
    assert changes.erase(CHAT, MESSAGE)
    assert (racing.get(KEY, f"MESSAGE#{MESSAGE.key}") or {})["copies"] == [SECRET]
    changes.forget_copies(CHAT, MESSAGE)
    item = racing.get(KEY, f"MESSAGE#{MESSAGE.key}") or {}
    assert (item["skipped"], item["text"], "copies" in item) == (SkipReason.DELETED, "", False)
    changes.forget_copies(CHAT, replace(MESSAGE, id="expired"))
    assert racing.get(KEY, "MESSAGE#contact#expired") is None


def test_a_change_is_counted_on_the_chat_with_its_open_turn_unless_it_expired(
    changes: MessageChanges, racing: RacingTable
) -> None:
    racing.update(Update(KEY, "CHAT", set={"open_turn": "turnaaaa"}))
    for counted in (1, 2):
        chat = changes.count(CHAT)
        assert chat is not None and (chat.changes, chat.open_turn) == (counted, "turnaaaa")
    racing.delete(KEY, "CHAT")
    assert changes.count(CHAT) is None
    assert racing.get(KEY, "CHAT") is None


# -- quotes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "left"),
    [
        (Quote(id="M1", text=SECRET), ""),
        (Quote(id="M2", text=SECRET), SECRET),
        (Quote(id="M1", from_me=True, text=SECRET), SECRET),
    ],
)
def test_a_deleted_message_is_erased_from_the_quotes_of_it(
    changes: MessageChanges, racing: RacingTable, quote: Quote, left: str
) -> None:
    quoting = replace(MESSAGE, id="M9", text="this one", quote=quote)
    store(racing, MESSAGE)
    store(racing, quoting)
    racing.operations.clear()
    changes.erase_copies(CHAT, MESSAGE)
    assert racing.operations["update"] == (left == "")
    found = Chats(racing).find_message(CHAT, quoting.key)
    assert found is not None and found.quote is not None and found.quote.text == left
    assert text_of(racing) == SECRET  # the message itself is erased by another call


def test_a_quote_without_words_and_one_that_was_replaced_meanwhile_stay(
    changes: MessageChanges, racing: RacingTable
) -> None:
    store(racing, replace(MESSAGE, id="M8", quote=Quote(id="M1")))
    racing.operations.clear()
    changes.erase_copies(CHAT, MESSAGE)
    assert racing.operations["update"] == 0
    edited = replace(MESSAGE, id="M9", quote=Quote(id="M1", text=SECRET))
    store(racing, edited)
    other = replace(edited, quote=Quote(id="M2", text="another message"))
    racing.before_next("update", lambda: store(racing, other))
    changes.erase_copies(CHAT, MESSAGE)
    found = Chats(racing).find_message(CHAT, edited.key)
    assert found is not None and found.quote == other.quote


# -- replies ---------------------------------------------------------------------------------------------------------


def reply(racing: RacingTable, state: TurnState, **more: Any) -> Turn:
    turn = replace(REPLY, state=state, **more)
    racing.put(Put(turn_item(turn, 30, NOW), when=None))
    stored = {name: getattr(turn, name) or None for name in ("parts_once_sent", "markdown", "cursor")}
    racing.update(Update(KEY, f"TURN#{turn.id}", set=stored))
    return turn


def read(racing: RacingTable) -> Turn:
    turn = Turns(racing).get(CHAT.tenant, CHAT.id, REPLY.id)
    assert turn is not None
    return turn


@pytest.mark.parametrize("state", TurnState)
def test_a_reply_keeps_what_it_repeats_until_it_is_sent_and_no_longer(
    changes: MessageChanges, racing: RacingTable, state: TurnState
) -> None:
    turn = reply(racing, state, markdown=f"**{SECRET}** it was.")
    changes.erase_repetitions(CHAT, MESSAGE)
    ended = state in (TurnState.SENT, TurnState.DISCARDED)
    after = read(racing)
    erased = after.parts if ended else after.parts_once_sent
    assert len(erased) == 1 and SECRET not in erased[0]
    assert SECRET not in after.markdown and after.markdown.endswith("it was.")
    assert ended or after.parts == turn.parts
    assert not ended or after.parts_once_sent == ()


def test_a_reply_that_repeats_nothing_is_not_written(changes: MessageChanges, racing: RacingTable) -> None:
    turn = reply(racing, TurnState.SENT, parts=("We are open.",), markdown="**We** are open.")
    racing.operations.clear()
    changes.erase_repetitions(CHAT, MESSAGE)
    assert racing.operations["update"] == 0
    assert read(racing).parts == turn.parts


def test_a_second_deletion_erases_what_the_first_left(changes: MessageChanges, racing: RacingTable) -> None:
    other = replace(MESSAGE, id="M2", text="My address is Long Street 99")
    reply(racing, TurnState.SENDING, parts=(f"{SECRET}. {other.text}",))
    changes.erase_repetitions(CHAT, MESSAGE)
    changes.erase_repetitions(CHAT, other)
    [left] = read(racing).parts_once_sent
    assert SECRET not in left and other.text not in left


@pytest.mark.parametrize("state", [TurnState.READY, TurnState.SENT])
def test_a_text_that_was_stored_meanwhile_is_not_overwritten_by_the_former(
    changes: MessageChanges, racing: RacingTable, state: TurnState
) -> None:
    reply(racing, state)
    racing.before_next("update", lambda: reply(racing, state, revision=4, parts=("We are open.",)))
    changes.erase_repetitions(CHAT, MESSAGE)
    after = read(racing)
    assert (after.parts, after.parts_once_sent) == (("We are open.",), ())


def test_a_text_that_was_withdrawn_meanwhile_is_not_made_again(changes: MessageChanges, racing: RacingTable) -> None:
    turn = reply(racing, TurnState.READY)
    withdrawn = Update(KEY, f"TURN#{turn.id}", set={"parts": None})
    racing.before_next("update", lambda: racing.update(withdrawn))
    changes.erase_repetitions(CHAT, MESSAGE)
    assert (read(racing).parts, read(racing).parts_once_sent) == ((), ())


def test_a_reply_that_was_sent_between_the_two_writes_is_erased_by_the_second(
    changes: MessageChanges, racing: RacingTable
) -> None:
    turn = reply(racing, TurnState.SENDING)
    sent = Update(KEY, f"TURN#{turn.id}", set={"state": TurnState.SENT})
    racing.before_next("update", lambda: racing.update(sent))
    changes.erase_repetitions(CHAT, MESSAGE)
    after = read(racing)
    assert SECRET not in after.parts[0] and after.parts_once_sent == ()


# -- a part that the owner changed on the phone -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "cursor", "part", "text", "rewritten"),
    [
        (TurnState.SENT, 2, 0, "Edited.", True),
        (TurnState.SENT, 2, 1, "Edited.", True),
        (TurnState.SENDING, 1, 0, "Edited.", True),
        (TurnState.SENDING, 1, 1, "Edited.", False),
        (TurnState.SENDING, 0, 0, "Edited.", False),
        (TurnState.SENT, 2, 0, "One.", False),
        (TurnState.SENT, 2, 0, "", True),
    ],
)
def test_a_part_is_rewritten_once_it_is_sent(
    changes: MessageChanges,
    racing: RacingTable,
    state: TurnState,
    cursor: int,
    part: int,
    text: str,
    rewritten: bool,
) -> None:
    turn = reply(racing, state, parts=("One.", "Two."), cursor=cursor, markdown="**One.** Two.")
    racing.operations.clear()
    changes.rewrite_part(turn, part, text)
    expected = ["One.", "Two."]
    if rewritten:
        expected[part] = text
    assert list(read(racing).parts) == expected
    assert racing.operations["update"] == rewritten
    assert read(racing).markdown == ("" if rewritten else "**One.** Two.")


def test_a_part_that_was_erased_is_not_written_again(changes: MessageChanges, racing: RacingTable) -> None:
    turn = reply(racing, TurnState.SENT, parts=("", "Two."), cursor=2)
    changes.rewrite_part(turn, 0, "Edited.")
    assert read(racing).parts == ("", "Two.")


@pytest.mark.parametrize(("text", "left"), [("", ""), ("Edited.", "One.")])
def test_a_part_that_is_deleted_is_erased_from_the_quotes_of_it(
    changes: MessageChanges, racing: RacingTable, text: str, left: str
) -> None:
    turn = reply(racing, TurnState.SENT, parts=("One.", "Two."), cursor=2)
    quoting = replace(MESSAGE, id="M9", quote=Quote(id=turn.part_id(0), from_me=True, text="One."))
    store(racing, quoting)
    changes.rewrite_part(turn, 0, text)
    found = Chats(racing).find_message(CHAT, quoting.key)
    assert found is not None and found.quote is not None and found.quote.text == left


@pytest.mark.parametrize(
    "meanwhile", [{"revision": 4}, {"cursor": 0}, {"cursor": 0, "state": TurnState.THINKING}], ids=str
)
def test_a_part_of_a_reply_that_is_another_one_now_is_left_alone(
    changes: MessageChanges, racing: RacingTable, meanwhile: dict[str, Any]
) -> None:
    turn = reply(racing, TurnState.SENDING, parts=("One.", "Two."), cursor=1)
    other = Update(KEY, f"TURN#{turn.id}", set=meanwhile)
    racing.before_next("update", lambda: racing.update(other))
    changes.rewrite_part(turn, 0, "Edited.")
    assert read(racing).parts == ("One.", "Two.")
