"""Inbound messages: each is classified, stored once, and a check of its chat is enqueued."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from chalicelib.errors import Unreadable
from chalicelib.model import (
    DEBOUNCE,
    MAX_MESSAGE_AGE,
    Chat,
    Classification,
    Session,
    SkipReason,
    StoredMessage,
    Tenant,
    classify,
    message_key,
    milliseconds,
)
from chalicelib.model.messages.audience import began_after_linking
from chalicelib.model.messages.message import stored_message
from chalicelib.model.messages.skip_reason import WITHOUT_WORDS
from chalicelib.model.messages.stop_words import is_resume, is_stop
from chalicelib.replies.changes import apply_change, change_own_reply
from chalicelib.replies.look import request_check
from chalicelib.replies.takeover import conclude_own, find_own_reply, judge_own, remember_own
from chalicelib.replies.unanswered import report_messages
from chalicelib.store.conversation.chats import arrival
from chalicelib.store.conversation.unanswered import MissedMessage, UnansweredMessage
from chalicelib.wiring import Services
from wire import Acknowledgement, Message, Outcome

#: A check that was enqueued before the messages were stored is late enough if storing took no longer than this.
STORED_WITHIN = timedelta(seconds=1)
#: One call takes messages in for so long; its runner, which waits 10 s for the answer, hands the rest in next. Without
#: it a slow table would keep the call of a large batch beyond that wait, and each repetition would do all anew.
TAKEN_IN_WITHIN = timedelta(seconds=4)
#: A STOP counts in messages that get no answer for these reasons, too.
HEARD_ALL_THE_SAME: Final = (SkipReason.TAKEOVER, SkipReason.PAUSED, SkipReason.TOO_OLD, SkipReason.DISCONNECTED)
#: The content of a message that its author deleted.
NO_CONTENT: Final = {
    "text": "",
    "caption": "",
    "summary": "",
    "variant": "",
    "author": "",
    "quote": None,
    "media": None,
}


def hand_in(services: Services, tenant_id: str, messages: Sequence[Message]) -> Iterator[Acknowledgement]:
    """Stores each message once (idempotent) and returns its outcome; of the first messages alone where that is slow.

    One check per chat that waits is enqueued before its messages are stored: a process that dies in between leaves no
    message without a check, even if the messages are never handed in again.
    """
    arrivals = _Arrivals(services, services.tenants.get(tenant_id), services.sessions.get(tenant_id), services.clock())
    before: dict[str, Chat | None] = {}
    enqueued: set[str] = set()
    acknowledged: list[Acknowledgement] = []
    unanswered: list[UnansweredMessage] = []
    missed: list[MissedMessage] = []
    waiting: dict[str, str] = {}
    noticed: dict[str, None] = {}
    for index, message in enumerate(messages):
        if index and services.clock() - arrivals.now > milliseconds(TAKEN_IN_WITHIN):
            break
        if message.chat not in before:
            try:
                before[message.chat] = arrivals.chat_of(message)
            except Unreadable:
                # Not acknowledged, it stays in the journal of its runner for as long as it could still be answered.
                if arrivals.is_too_old(message):
                    skipped = {"outcome": Outcome.SKIPPED, "reason": SkipReason.TOO_OLD}
                    acknowledged.append(Acknowledgement(id=message.id, chat=message.chat, **skipped))
                continue
        if message.chat not in enqueued and arrivals.may_wait(message, before[message.chat]):
            request_check(services, tenant_id, message.chat, delay_seconds=DEBOUNCE.total_seconds())
            enqueued.add(message.chat)
        classified, chat = arrivals.take_in(message, index)
        if classified.outcome is Outcome.QUEUED:
            waiting[message.chat] = chat.id
        if classified.reason is not None and _is_unanswered(message, classified):
            author = message.sender if classified.keeps_content else None
            key = message_key(message.from_me, author, message.id)
            unanswered.append(UnansweredMessage(arrivals.now, chat.id, key, message.kind, classified.reason))
            if classified.reason is SkipReason.DISCONNECTED:
                missed.append(MissedMessage(arrivals.now, chat.id, key, chat.answered_to))
        acknowledged.append(
            Acknowledgement(
                id=message.id, chat=message.chat, outcome=classified.outcome, reason=classified.reason or ""
            )
        )
        if arrivals.may_say_something(classified):
            noticed[chat.id] = None
    slow = services.clock() - arrivals.now > milliseconds(STORED_WITHIN)
    for name, chat_id in waiting.items():
        if slow or name not in enqueued:
            request_check(services, tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    for chat_id in noticed.keys() - waiting.values():
        request_check(services, tenant_id, chat_id, delay_seconds=DEBOUNCE.total_seconds())
    services.unanswered.record_missed(tenant_id, missed)
    report_messages(services, arrivals.tenant, unanswered, arrivals.now)
    if waiting:
        services.sessions.record_activity(arrivals.session, arrivals.now, message=True)
    return iter(acknowledged)


def _is_unanswered(message: Message, classified: Classification) -> bool:
    """Returns whether people see that the message gets no reply; of the account's own only what the app itself sent."""
    if classified.outcome is not Outcome.SKIPPED or not classified.is_stored:
        return False
    return not message.from_me or classified.reason is SkipReason.AUTOMATIC


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """The messages of one tenant that are handed in at one moment."""

    services: Services
    tenant: Tenant
    session: Session
    now: int

    def chat_of(self, message: Message) -> Chat | None:
        """Returns what is stored of the message's chat, if anything."""
        return self.services.chats.find(self.tenant.id, message)

    def is_too_old(self, message: Message) -> bool:
        """True if the message gets no answer any more."""
        return self.now - message.sent_at_ms > milliseconds(MAX_MESSAGE_AGE)

    def may_wait(self, message: Message, found: Chat | None) -> bool:
        """True if the message may wait for a reply, unless a takeover or a duplicate is in the way."""
        chat = replace(self._chat(message, found), takeover_until=0)
        return classify(message, chat, self.session, self.tenant, self.now).outcome is Outcome.QUEUED

    def may_say_something(self, classified: Classification) -> bool:
        """True if the contact may have to read that the line cannot read a message without words."""
        policies = self.tenant.policies
        notice = policies.wordless_notice and not policies.answer_without_words
        return notice and classified.outcome is Outcome.SKIPPED and classified.reason in WITHOUT_WORDS

    def take_in(self, message: Message, index: int) -> tuple[Classification, Chat]:
        """Stores what may be kept of a message, if anything; returns its outcome and its chat."""
        found = self.chat_of(message)
        chat = self._chat(message, found)
        classified = classify(message, chat, self.session, self.tenant, self.now)
        if found is not None and message.from_me:
            turn = find_own_reply(self.services, found, message, self.now)
            if turn is not None:
                change_own_reply(self.services, turn, message)
                return Classification(Outcome.DELIVERY), chat
        if message.deleted:
            message = message.model_copy(update=NO_CONTENT)
        if found is not None and self._is_later_wording(found, message):
            latest = self._stored(chat, message, classified, arrival(self.now, index))
            self._record_wish(chat, message, classified)
            return apply_change(self.services, self.tenant, chat, message, latest, self.now), chat
        if not classified.is_stored:
            if message.deleted and found is not None and classified.reason is SkipReason.HISTORY:
                # Nothing else is kept of it: messages since the linking may quote it.
                deleted = Classification(Outcome.SKIPPED, SkipReason.DELETED, keeps_content=False)
                self._store(found, message, deleted, arrival(self.now, index))
            return classified, chat
        new_to = self.session.number if began_after_linking(message, chat, self.session) else None
        chat = self.services.chats.record(self.tenant.id, message, found, new_to)
        return self._store(chat, message, classified, arrival(self.now, index)), chat

    def _chat(self, message: Message, found: Chat | None) -> Chat:
        return found or Chat(self.tenant.id, message.chat, whatsapp_id=message.chat)

    def _is_later_wording(self, chat: Chat, message: Message) -> bool:
        """True for an edit or deletion of a message that is stored, whatever policy says of the message by now."""
        later = message.deleted or message.edited_at_ms is not None
        return later and self.services.chats.get_message(chat, message) is not None

    def _stored(self, chat: Chat, message: Message, classified: Classification, at: str) -> StoredMessage:
        stored = stored_message(
            message,
            chat.id,
            at=at,
            skipped=classified.reason,
            keeps_content=classified.keeps_content,
            now=self.now,
        )
        if stored.quote is not None and self.services.chats.was_deleted(chat, stored.quote):
            return replace(stored, quote=stored.quote.model_copy(update={"text": ""}))
        return stored

    def _store(self, chat: Chat, message: Message, classified: Classification, at: str) -> Classification:
        chats, retention_days = self.services.chats, self.tenant.policies.retention_days
        own = None
        if message.deleted and classified.outcome is Outcome.TAKEOVER:
            classified = Classification(Outcome.SKIPPED, SkipReason.DELETED)
        elif classified.outcome is Outcome.TAKEOVER:
            own = judge_own(self.services, self.tenant, self.session, chat, message, self.now)
            remember_own(self.services, self.tenant, chat, own, self.now)
            if own.is_reply:
                classified = replace(classified, outcome=Outcome.DELIVERY)
            elif own.judgement.automatic:
                classified = Classification(
                    Outcome.SKIPPED, SkipReason.AUTOMATIC, keeps_content=classified.keeps_content
                )
        stored = self._stored(chat, message, classified, at)
        if message.deleted:
            # It was never handed in before, but a message that quotes it may have been: WhatsApp keeps no order.
            self.services.message_changes.erase_copies(chat, stored)
        is_new = chats.store_message(chat, stored, retention_days=retention_days, now=self.now)
        if own is not None:
            conclude_own(self.services, self.tenant, chat, own, self.now, is_new=is_new)
        self._record_wish(chat, message, classified)
        if is_new:
            return classified
        return apply_change(self.services, self.tenant, chat, message, stored, self.now)

    def _record_wish(self, chat: Chat, message: Message, classified: Classification) -> None:
        """Records STOP, and what resumes: the contact's word, or a person who writes in the chat from the phone."""
        said_at = message.edited_at_ms or message.sent_at_ms
        if classified.outcome is Outcome.TAKEOVER:
            self.services.chats.record_resumption(chat, said_at)
        elif not message.from_me and classified.reason in (None, *HEARD_ALL_THE_SAME):
            said = message.text or message.caption
            if is_resume(said):
                self.services.chats.record_resumption(chat, said_at)
            elif is_stop(said):
                self.services.chats.record_stop(chat, said_at)
