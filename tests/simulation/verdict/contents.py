"""The promises about what people wrote: newest wordings, deletions, private chats, automatic messages, costs."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import greenlet  # type: ignore[import-untyped]

from chalicelib.model import MAX_MESSAGE_AGE, SkipReason, milliseconds
from chalicelib.model.conversation import MAX_DISCARDS
from chalicelib.model.messages.automatic_messages import OTHER_CHATS
from chalicelib.model.tenant import Audience
from chalicelib.store.conversation.items import chat_key, turn_from
from chalicelib.store.records.session_items import session_from
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.people import TAKEOVER_MINUTES
from tests.simulation.whatsapp_model import Account, Contact, Stanza
from tests.simulation.wordings import KINDS, WORDING, call_of, words

if TYPE_CHECKING:
    from tests.simulation.openai_model import Call
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.world import World
    from wire import MessagesAnswer, MessagesRequest

Item = dict[str, Any]

#: Stands in a stored reply for what its contact deleted.
ERASED = "[deleted]"
#: A taking under way is finished so many seconds later.
TAKEN_WITHIN = 1.0
#: A greeting comes so soon; seconds are whole.
GREETED_WITHIN = 3
#: The first call of a turn, and one for each time that more messages fold in.
MAX_BATCHES = 1 + MAX_DISCARDS


class Contents:
    """Follows each message from its hand-in to what is stored of it, told to the model, and answered."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        #: By tenant and message: when each of its states was handed in, and acknowledged.
        self._handed_in: dict[tuple[str, str], list[tuple[float, int, bool]]] = defaultdict(list)
        #: By tenant and message: when it was stored first, by whom, and when that request began.
        self._stored: dict[tuple[str, str], tuple[float, object, float]] = {}
        #: By tenant and message: those that were from before the linking when first handed in: nothing is kept of them.
        self._history: set[tuple[str, str]] = set()
        #: By partition and id of the turn: when a runner first took its present text.
        self._taken_at: dict[tuple[str, str], float] = {}
        #: By partition of the chat: until when it was taken over, by any message.
        self._taken_over: dict[str, set[int]] = defaultdict(set)
        world.cloud.table.watchers.append(self._written)
        world.cloud.on_hand_in = self._acknowledged
        world.cloud.openai.on_call = self._called

    # -- during the history --------------------------------------------------------------------------------------

    def _acknowledged(self, request: "MessagesRequest", answer: "MessagesAnswer") -> None:
        since = session_from(self.world.session(request.tenant)).answers_since
        for message in request.messages[: len(answer.acknowledged)]:
            key = request.tenant, message.id
            found = WORDING.search(message.text)
            version = int(found[2]) if found else 0
            if found or message.deleted:
                if not self._handed_in[key] and (since is None or message.sent_at_ms < since):
                    self._history.add(key)
                self._handed_in[key].append((self.world.loop.time(), version, message.deleted))

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if before is None and after is not None and key[1].startswith("MESSAGE#"):
            at, worker = self.world.loop.time(), greenlet.getcurrent()
            stored = at, worker, getattr(worker, "began_at", at)
            self._stored.setdefault((key[0].split("#")[1], after["id"]), stored)
        if before is None or after is None:
            return
        if key[1].startswith("MESSAGE#"):
            was, now = _version(before), _version(after)
            if now is not None and was is not None and now < was:
                self._report("older wording", f"{key} was stored in version {now} after {was}")
            if now is not None and before.get("skipped") == SkipReason.DELETED:
                self._report("deleted", f"the text of {key} came back")
        elif key[1].startswith("TURN#"):
            if after["state"] == "sending" and before["state"] != "sending":
                self._taken_at[key] = self.world.loop.time()
                self._check_precedence(after)
        elif key[1] == "CHAT" and after.get("takeover_until"):
            self._taken_over[key[0]].add(after["takeover_until"])

    def _check_precedence(self, turn: Item) -> None:
        """Checks that no turn is taken in a chat once a message that its owner typed there is acknowledged."""
        now = self.world.loop.time()
        wrote = {id: one for account in self.world.accounts_of(turn["tenant"]) for id, one in account.newest.items()}
        for item in self.world.cloud.table.partitions[turn["pk"]].values():
            if not item["sk"].startswith("MESSAGE#me#") or item.get("skipped") is not None:
                continue
            stanza, states = wrote.get(item["id"]), self._handed_in[turn["tenant"], item["id"]]
            if stanza is None or stanza.answers is not None or not states or states[0][0] >= now - TAKEN_WITHIN:
                continue
            if EPOCH_MS / 1000 + now < stanza.second + TAKEOVER_MINUTES * 60 - 1:
                self._report("takeover", f"{turn['sk']} is taken after {stanza.id} was typed")

    def _called(self, call: "Call") -> None:
        """Checks what the model is told."""
        self.inspector.answers.check_model_call(f"CHAT#{call.tenant}#{call.chat}", self.world.cloud.clock())
        account, known_until = self._account_of(call), self.inspector.records.known_until()
        for role, lines in call.told.items():
            for number, version in _wordings("\n".join(lines)):
                stanza = _find(account, number)
                if stanza is None:
                    self._report("other login", f"the model of {account.number} is told message {number}")
                    continue
                if self.is_private(call.tenant, stanza.contact):
                    self._report("private", f"the model of {call.tenant} is told message {number}")
                    continue
                states = [one for one in self._handed_in[call.tenant, stanza.id] if one[0] < known_until]
                if any(deleted for _, _, deleted in states):
                    self._report("deleted", f"the model is told {stanza.id}")
                elif role == "user" and version < max((newer for _, newer, _ in states), default=0):
                    self._report("older wording", f"the model is told {stanza.id} in version {version}")
                if role == "user" and self._waits_for_later_turn(call, f"contact#{stanza.id}"):
                    self._report("duplicated", f"the model is told {stanza.id}, which the next turn answers")

    def _waits_for_later_turn(self, call: "Call", key: str) -> bool:
        """Returns whether a message that the call is not for has neither an answer nor a reason, and may get one."""
        chat = self.world.cloud.table.partitions[chat_key(call.tenant, call.chat)]
        turns = [item for sk, item in chat.items() if sk.startswith("TURN#")]
        message = chat.get(f"MESSAGE#{key}")
        if message is None or message.get("skipped") is not None or any(key in turn["messages"] for turn in turns):
            return False
        if self.inspector.answers.is_dated_anew(message):
            return False  # a person had it answered while the model was asked: it was told what got no answer
        since = session_from(self.world.session(call.tenant)).replies_since or 0
        oldest = max(since, self.world.cloud.clock() - milliseconds(MAX_MESSAGE_AGE))
        return bool(message["sent_at"] > oldest)

    def _account_of(self, call: "Call") -> Account:
        """Returns the account to which the messages were written that a call is for."""
        ids = {key.partition("#")[2] for key in call.covers}
        accounts = self.world.accounts_of(call.tenant)
        return next(one for one in accounts if not ids.isdisjoint(one.newest))

    # -- at the end ----------------------------------------------------------------------------------------------

    def is_private(self, tenant: str, contact: Contact) -> bool:
        """Returns whether the tenant's policy leaves this contact unanswered."""
        audience = self.world.people.audiences[tenant]
        return (audience is Audience.UNSAVED and contact.saved) or (audience is Audience.NEW_CHATS and contact.older)

    def unfinished(self, tenant: str) -> list[tuple[str, str]]:
        """Returns the kinds of violation, and the messages whose newest state is not stored, though it could be."""
        account = self.world.accounts[tenant]
        found: list[tuple[str, str]] = []
        if account.stream is None or not self.world.may_run(tenant):
            return []
        kept = _kept(self.inspector.records.items_of(tenant))
        for (_, id), item in self.inspector.records.stored(tenant).items():
            newest = account.newest.get(id)
            if newest is None:
                continue  # of an earlier account
            was_late = (account.number, newest) in self.inspector.deliveries.late_changes
            if was_late or account.stream.login.received.get(newest.key) != newest:
                continue
            if newest.deleted and (id in kept or item.get("skipped") is None):
                found.append(("deleted", f"{id} is kept in {sorted(kept.get(id, ()))} as {item.get('skipped')}"))
            elif not newest.deleted and _version(item) not in (None, newest.version):
                found.append(("older wording", f"{id} is stored in {_version(item)} instead of {newest.version}"))
        return found

    def conclude(self, tenant: str) -> None:
        for kind, what in self.unfinished(tenant):
            self._report(kind, f"{tenant}: {what}")
        items = self.inspector.records.items_of(tenant)
        kept = _kept(items)
        for account in self.world.accounts_of(tenant):
            for contact in account.shown:
                if self.is_private(tenant, contact):
                    self._check_private_chat(tenant, account, contact, kept)
        for item in items:
            if item["sk"].startswith("TURN#") and item["state"] in ("sending", "sent") and item.get("parts"):
                self._check_answer(tenant, item)
        self._check_costs(tenant)
        self._check_takeovers(tenant, items)

    def _check_private_chat(self, tenant: str, account: Account, contact: Contact, kept: dict[str, set[str]]) -> None:
        if account.shown[contact]:
            self._report("private", f"{contact.phone} got an answer of {tenant}")
        for id, stanza in account.newest.items():
            if stanza.contact == contact and id in kept:
                self._report("private", f"{id} is kept in {sorted(kept[id])}")
        for (phone, id), item in self.inspector.records.stored(tenant).items():
            if phone == contact.phone and item.get("skipped") is None:
                self._report("private", f"{id} has no reason")

    def _check_answer(self, tenant: str, item: Item) -> None:
        """Checks that a sent text was made from what was handed in before a runner took it."""
        turn = turn_from(item)
        call = self.world.cloud.openai.calls[call_of(turn.parts[0])]
        told = dict(_wordings("\n".join(call.told["user"])))
        taken_at = self._taken_at[item["pk"], item["sk"]]
        for key in turn.messages:
            id = key.partition("#")[2]
            states = [one for one in self._handed_in[tenant, id] if one[0] < taken_at]
            if any(deleted for _, _, deleted in states):
                self._report("deleted", f"{id} was answered by {turn.id} all the same")
            newest = max((version for _, version, deleted in states if not deleted), default=0)
            if told.get(int(id[-5:]), -1) < newest:
                self._report("older wording", f"{turn.id} answers {id} in an older version than {newest}")

    def _check_costs(self, tenant: str) -> None:
        """Checks that who writes on while the model thinks does not make it begin anew each time."""
        batches: dict[str, list[frozenset[str]]] = defaultdict(list)
        for call in self.world.cloud.openai.calls.values():
            if call.tenant == tenant and call.answered:
                seen = frozenset().union(*batches[call.turn])
                if not seen.issuperset(call.covers):
                    batches[call.turn].append(frozenset(call.covers))
        for turn, found in batches.items():
            if len(found) > MAX_BATCHES:
                self._report("too many calls", f"{len(found)} batches of {turn} were paid")

    def _check_takeovers(self, tenant: str, items: list[Item]) -> None:
        wrote = {id: account for account in self.world.accounts_of(tenant) for id in account.newest}
        own = [item for item in items if item["sk"].startswith("MESSAGE#me#") and item["id"] in wrote]
        typed = {item["pk"] for item in own if item.get("skipped") != SkipReason.AUTOMATIC}
        for item in items:
            skips = item["sk"].startswith("MESSAGE#") and not item["from_me"] and item.get("skipped")
            if (skips or item.get("reason")) == SkipReason.TAKEOVER and item["pk"] not in typed:
                self._report("takeover", f"{item['sk']} has no answer, and no person took over")
        for item in own:
            account = wrote[item["id"]]
            stanza = account.newest[item["id"]]
            until = (stanza.second + TAKEOVER_MINUTES * 60) * 1000
            if stanza.answers is None:
                acknowledged = self._handed_in[tenant, stanza.id]
                in_time = acknowledged and EPOCH_MS + acknowledged[0][0] * 1000 < until - 1000
                if in_time and max(self._taken_over[item["pk"]], default=0) < until:
                    self._report("takeover", f"{stanza.id} was typed, and the line went on")
            elif self._is_known_as_automatic(tenant, account, stanza) and item.get("skipped") != SkipReason.AUTOMATIC:
                self._report("takeover", f"{stanza.id} was sent by the phone itself")

    def _is_known_as_automatic(self, tenant: str, account: Account, stanza: Stanza) -> bool:
        """Returns whether the control plane could know: a greeting, or a text that it has of other chats."""
        asked = stanza.answers
        if asked is None or not self._is_seen_in_order(tenant, asked, stanza):
            return False
        own = [one for one in account.newest.values() if one.from_me and one.contact == stanza.contact]
        typed = any(one.answers is None and one.second <= stanza.second for one in own)
        # One that came before it although it was sent later looks as if somebody went on writing.
        alone = not typed and not any(one is not stanza and self._is_stored_before(tenant, one, stanza) for one in own)
        is_first = account.sent[stanza.contact][0].id == asked.id and not stanza.contact.older
        if alone and is_first and stanza.second - asked.second <= GREETED_WITHIN:
            return True
        others = {
            one.contact
            for one in account.newest.values()
            if one.answers is not None
            and not self.is_private(tenant, one.contact)
            and words(one.text) == words(stanza.text)
            and self._is_seen_in_order(tenant, one.answers, one)
            and self._is_seen_in_order(tenant, one, stanza)
        }
        return len(others - {stanza.contact}) >= OTHER_CHATS

    def _is_stored_before(self, tenant: str, one: Stanza, other: Stanza) -> bool:
        first, second = self._stored.get((tenant, one.id)), self._stored.get((tenant, other.id))
        return first is not None and second is not None and first[0] <= second[0]

    def _is_seen_in_order(self, tenant: str, one: Stanza, other: Stanza) -> bool:
        """Returns whether one message was taken in before the other was judged, could be read, and was kept."""
        first, second = self._stored.get((tenant, one.id)), self._stored.get((tenant, other.id))
        is_kept = not one.readable_at and (tenant, one.id) not in self._history
        if not is_kept or first is None or second is None:
            return False
        (stored_at, by, _), (other_stored_at, other_by, judged_from) = first, second
        if by is other_by:
            return stored_at <= other_stored_at
        acknowledged = self._handed_in[tenant, one.id]
        return stored_at < judged_from and bool(acknowledged) and acknowledged[0][0] < judged_from

    def _report(self, kind: str, what: str) -> None:
        self.inspector.report_violation(kind, what)


def without_wordings(text: str) -> str:
    """Returns a reply without what it repeats of messages, which may be deleted after it was sent."""
    return WORDING.sub(ERASED, text)


def _find(account: Account, number: int) -> Stanza | None:
    return next((account.newest[id] for kind in KINDS if (id := f"{kind}{number:05d}") in account.newest), None)


def _wordings(text: str) -> Iterator[tuple[int, int]]:
    return ((int(number), int(version)) for number, version in WORDING.findall(text))


def _version(item: Item) -> int | None:
    """Returns the version of the wording that a message is stored in; None if none is kept."""
    return next((version for _, version in _wordings(item.get("text", ""))), None)


def _kept(items: list[Item]) -> dict[str, set[str]]:
    """Returns the sort keys of the items that hold a wording, by the id of its message."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in items:
        for number, _ in _wordings(repr(item)):
            for kind in KINDS:
                found[f"{kind}{number:05d}"].add(item["sk"])
    return found
