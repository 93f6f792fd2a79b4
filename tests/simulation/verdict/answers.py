"""Promises about answers: each message has one or a reason, made from exactly its batch, shown once and in order."""

from typing import TYPE_CHECKING, Any

import greenlet  # type: ignore[import-untyped]

from chalicelib.model import MAX_MESSAGE_AGE, SkipReason, Turn
from chalicelib.model.messages.classification import DECRYPTED_WITHIN
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.verdict.contents import without_wordings
from tests.simulation.wordings import call_of

if TYPE_CHECKING:
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.whatsapp_model import Account, Contact, Stanza
    from tests.simulation.world import World

Item = dict[str, Any]

#: A message that cannot be decrypted has its reason so many seconds after DECRYPTED_WITHIN.
REASON_WITHIN = 90.0
#: A page finds a message that is readable at last so soon, where nothing tells it: `message_tail.js: REREAD_MS`.
REREAD_WITHIN = 630.0
#: A turn that a runner began to send may end so later: the runner finds out, or no runner can report it any more.
ENDED_LATER = frozenset({SkipReason.TOO_OLD, SkipReason.OTHER_LOGIN, SkipReason.PAUSED})


class AnswerPromises:
    """Judges each message of a contact, and each reply on a contact's phone."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        self.records = inspector.records
        #: The runner that handed a message in first, and its epoch.
        self._handed_in_by: dict[tuple[str, str], tuple[str, int] | None] = {}
        #: Messages that do not stand where they came: a frozen worker stored them with the time at which it began, or a
        #: person had them answered after later ones.
        self._dated_anew: set[tuple[str, str]] = set()
        self._taken_over_at: dict[str, float] = {}
        world.cloud.table.watchers.append(self._written)

    # -- during the history --------------------------------------------------------------------------------------

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if before is None and after is not None and key[1].startswith("MESSAGE#"):
            self._handed_in_by[key] = getattr(greenlet.getcurrent(), "asked", None)
            if getattr(greenlet.getcurrent(), "was_frozen", False):
                self._dated_anew.add(key)
        if before is None or after is None:
            return
        reopened = before.get("skipped") == SkipReason.DISCONNECTED != after.get("skipped")
        if key[1].startswith("MESSAGE#") and (reopened or before["at"] != after["at"]):
            self._dated_anew.add(key)
        if key[1] == "CHAT" and after.get("takeover_until") != before.get("takeover_until"):
            self._taken_over_at[key[0]] = self.world.loop.time()

    def check_model_call(self, chat: str, instant: int) -> None:
        """Checks that the model is not called for a chat that a person has taken over."""
        item = self.world.cloud.table.partitions[chat]["CHAT"]
        lately = self._taken_over_at.get(chat, 0.0) > self.records.known_until()
        if instant < item.get("takeover_until", 0) and not lately:
            self._report("takeover", f"{chat} is answered although its owner answers")

    # -- messages ------------------------------------------------------------------------------------------------

    def unanswered(self, tenant: str) -> list[tuple[str, str]]:
        """Returns the messages without an answer or a reason, of those that were handed in or still can be."""
        account, found = self.world.accounts[tenant], []
        stored = self.records.stored(tenant)
        answered, reasons = self.records.covered(tenant)
        runs = self.world.may_run(tenant)
        for contact, sent in account.sent.items():
            shown = {one.id for one in account.shown[contact]}
            for stanza in sent:
                item = stored.get((contact.phone, stanza.id))
                if self.is_history(tenant, stanza):
                    continue
                if item is None:
                    if self._must_be_stored(tenant, account, stanza):
                        found.append((stanza.id, "never handed in"))
                elif item.get("skipped") == SkipReason.NEVER_DECRYPTED and self._is_found_readable(stanza):
                    if self._must_be_decrypted(tenant, account, stanza):
                        found.append((stanza.id, "readable, not answered"))
                elif item.get("skipped") is None and (contact.phone, stanza.id) not in reasons:
                    parts = answered.get((contact.phone, stanza.id))
                    if parts is None and runs:
                        found.append((stanza.id, "handed in, not answered"))
                    elif parts is not None and not set(parts) <= shown:
                        found.append((stanza.id, "the answer was never shown"))
        if account.stream is None and runs:
            found.append(("-", "no browser is connected"))
        return found

    def is_history(self, tenant: str, stanza: "Stanza") -> bool:
        """Returns whether a message came before the line was linked: it is never answered."""
        linked_at = self.world.session(tenant).get("linked_at")
        return linked_at is None or stanza.second * 1000 < self.inspector.logins.answered_from_ms(tenant, linked_at)

    def awaits_reason(self, tenant: str) -> bool:
        """Returns whether a message that cannot be decrypted has no reason yet."""
        account, now = self.world.accounts[tenant], self.world.loop.time()
        unreadable = [one for sent in account.sent.values() for one in sent if one.readable_at > now]
        if not unreadable or not self.world.may_run(tenant):
            return False
        stored = self.records.stored(tenant)
        return any(
            (one.contact.phone, one.id) not in stored and self._can_be_handed_in(tenant, account, one)
            for one in unreadable
            if not account.newest[one.id].deleted and not self.is_history(tenant, one)
        )

    def needs_no_record(self, tenant: str, stanza: "Stanza") -> bool:
        """Returns whether nothing is kept of a message: it is history, deleted, or not yet decrypted."""
        account, now = self.world.accounts[tenant], self.world.loop.time()
        newest = account.newest.get(stanza.id)
        age = EPOCH_MS // 1000 + now - stanza.second
        unreadable = stanza.readable_at > now and age <= DECRYPTED_WITHIN.total_seconds() + REASON_WITHIN
        return newest is None or newest.deleted or unreadable or self.is_history(tenant, stanza)

    def _must_be_stored(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns whether a message that is not stored should be by now."""
        can = self.world.may_run(tenant) and self._can_be_handed_in(tenant, account, stanza)
        return can and not self.needs_no_record(tenant, stanza)

    def _is_found_readable(self, stanza: "Stanza") -> bool:
        """Returns whether a page knows that a message can be read: it reads its database again now and then."""
        return stanza.readable_at + REREAD_WITHIN <= self.world.loop.time()

    def _must_be_decrypted(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns whether the text of a message that was stored without it is still to be handed in and answered."""
        stream, newest = account.stream, account.newest[stanza.id]
        if not self.world.may_run(tenant) or newest.deleted or stream is None:
            return False
        in_time = EPOCH_MS // 1000 + self.world.loop.time() - stanza.second < MAX_MESSAGE_AGE.total_seconds()
        return in_time and newest.key in stream.login.received

    def _can_be_handed_in(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns True if the message is at WhatsApp, in the connected browser, or must be on a disk."""
        stream = account.stream
        in_browser = stream is not None and stanza.key in stream.login.received
        on_a_disk = self.inspector.deliveries.is_on_a_disk(tenant, stanza.id)
        return stanza in account.queue or in_browser or on_a_disk

    # -- replies -------------------------------------------------------------------------------------------------

    def check_replies(self, tenant: str) -> None:
        """Checks everything that the contacts of a tenant were shown, by each of its accounts."""
        parts = {id: (turn, place) for _, turn in self.records.turns(tenant) for place, id in enumerate(turn.part_ids)}
        stored = self.records.stored(tenant)
        for account in self.world.accounts_of(tenant):
            for contact, shown in account.shown.items():
                self._check_chat(tenant, contact, [(one.id, one.text) for one in shown], parts, stored)
                self._check_own_messages(account, contact, [one.text for one in shown])
                self._check_arrivals(account, contact, stored)
        for item in self.records.items_of(tenant):
            if item["sk"].startswith("MESSAGE#me#") and item["id"] in parts:
                self._report("misread", f"our own reply {item['id']} was taken for the owner's")

    def _check_chat(
        self,
        tenant: str,
        contact: "Contact",
        shown: list[tuple[str, str]],
        parts: dict[str, tuple[Turn, int]],
        stored: dict[tuple[str, str], Item],
    ) -> None:
        calls = self.world.cloud.openai.calls
        texts_of: dict[str, set[str]] = {}
        arrived_at = ""
        seen: set[str] = set()
        for id, text in shown:
            call = calls[call_of(text)]
            if id in seen or text in seen:
                self._report("duplicated", f"{id} was shown twice to {contact.phone}")
            seen |= {id, text}
            for key in call.covers:
                texts_of.setdefault(key, set()).add(call_of(text))
            if id not in parts or _differs(parts[id], text):
                self._report("untrue", f"{id} is not what the control plane stored of {call.turn}")
            else:
                self._check_turn(*parts[id], call.covers)
            covered = (stored.get((contact.phone, key.partition("#")[2])) for key in call.covers)
            arrivals = [item["at"] for item in covered if item is not None and not self.is_dated_anew(item)]
            if arrivals and max(arrivals) < arrived_at:
                self._report("out of order", f"{id} answers what came before what was answered before it")
            arrived_at = max([arrived_at, *arrivals])
        for key, texts in texts_of.items():
            if len(texts) > 1:
                self._report("duplicated", f"{key} of {tenant} was answered by {sorted(texts)}")

    def _check_turn(self, turn: Turn, place: int, covers: tuple[str, ...]) -> None:
        """Checks that a text that is shown answers its turn's batch, no less and no more, and that the turn says so."""
        if set(turn.messages) != set(covers):
            self._report("blind", f"{turn.id} answers {turn.messages}, and its text {covers}")
        is_before_refusal = turn.reason == SkipReason.NOT_ACCEPTED and place < turn.cursor
        if turn.state not in ("sending", "sent") and turn.reason not in ENDED_LATER and not is_before_refusal:
            self._report("abandoned", f"{turn.id} was shown, and is {turn.state} ({turn.reason})")

    def _check_own_messages(self, account: "Account", contact: "Contact", texts: list[str]) -> None:
        """Checks that a login answers only what was written to it."""
        ours = {stanza.id for stanza in account.sent[contact]}
        for text in texts:
            others = {key.partition("#")[2] for key in self.world.cloud.openai.calls[call_of(text)].covers} - ours
            if others:
                self._report("other login", f"{account.number} answers {sorted(others)}")

    def _check_arrivals(self, account: "Account", contact: "Contact", stored: dict[tuple[str, str], Item]) -> None:
        """Checks that one runner hands a chat in as it was delivered; what was unreadable or deleted may be late."""
        latest: dict[tuple[str, int] | None, tuple[str, str]] = {}
        for stanza in account.sent[contact]:
            item = stored.get((contact.phone, stanza.id))
            if item is None or stanza.readable_at or account.newest[stanza.id].deleted:
                continue
            if stanza.id in self.inspector.deliveries.disordered or self.is_dated_anew(item):
                continue
            by = self._handed_in_by[item["pk"], item["sk"]]
            if by in latest and item["at"] < latest[by][0]:
                self._report("out of order", f"{stanza.id} was handed in before {latest[by][1]}")
            latest[by] = max(latest.get(by, ("", "")), (item["at"], stanza.id))

    def is_dated_anew(self, item: Item) -> bool:
        """Returns whether a message stands elsewhere than where it came."""
        return (item["pk"], item["sk"]) in self._dated_anew

    def _report(self, kind: str, what: str) -> None:
        self.inspector.report_violation(kind, what)


def _differs(part: tuple[Turn, int], text: str) -> bool:
    """Returns whether a text that was shown is not the stored part."""
    turn, place = part
    return without_wordings(turn.parts[place]) != without_wordings(text)
