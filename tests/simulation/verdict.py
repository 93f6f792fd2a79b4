"""The promises that every history must keep, checked during the history and at its end."""

from typing import TYPE_CHECKING, Any

import greenlet  # type: ignore[import-untyped]

from chalicelib.model import MAX_MESSAGE_AGE, SkipReason
from chalicelib.model.messages.classification import DECRYPTED_WITHIN
from chalicelib.store.conversation.items import turn_from
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.contents import Contents, waiting_in, without_wordings

if TYPE_CHECKING:
    from tests.simulation.browser_model import Browser
    from tests.simulation.whatsapp_model import Account, Contact, Stanza
    from tests.simulation.world import World

Item = dict[str, Any]

#: An outage of the control plane of up to this many seconds may fail no session over.
OUTAGE_BORNE = 100.0
#: A runner that was silent for reasons of its own within so many seconds may be failed over.
LONG_ENOUGH = 200.0
#: A message that cannot be decrypted has its reason so many seconds after DECRYPTED_WITHIN.
REASON_WITHIN = 90.0
#: A model call that began so many seconds before a takeover is finished.
SETTLED_AFTER = 2.0


class Inspector:
    """Observes every write of the table and every send, and keeps the violations of the promises."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._outages: list[tuple[float, float]] = []
        #: The runner that handed a message in first, and its epoch.
        self._handed_in_by: dict[tuple[str, str], tuple[str, int] | None] = {}
        self._taken_over_at: dict[str, float] = {}
        world.cloud.table.watchers.append(self._written)
        self.contents = Contents(world, self)

    def report_violation(self, kind: str, what: str) -> None:
        line = f"{kind}: {what} at {self.world.loop.time():.1f}"
        self.world.verdict.violations.append(line)
        self.world.trace(f"VIOLATED {line}")

    # -- during the history---------------------------------------------------------------------------------------

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if before is None and after is not None and key[1].startswith("MESSAGE#"):
            asked = getattr(greenlet.getcurrent(), "asked", None)
            self._handed_in_by[key] = asked
        if before is None or after is None:
            return
        if key[1] == "CHAT" and after.get("takeover_until") != before.get("takeover_until"):
            self._taken_over_at[key[0]] = self.world.loop.time()
        if key[1] == "SESSION":
            if after["epoch"] < before["epoch"]:
                self.report_violation("epoch", f"{key[0]} fell from {before['epoch']} to {after['epoch']}")
            if after.get("runner") != before.get("runner") and after["epoch"] <= before["epoch"]:
                self.report_violation("epoch", f"{key[0]} changed hands without a new epoch")
            holder = after.get("runner")
            if holder not in (None, before.get("runner")) and holder not in self.world.cloud.heard:
                self.report_violation("ghost", f"{key[0]} was given to {holder}, who may not know that it is")
            if (after.get("snapshot_order") or "") < (before.get("snapshot_order") or ""):
                self.report_violation("snapshot", f"{key[0]} went back to {after.get('snapshot_order')}")
        elif key[1] == "RUNNER":
            if before["state"] == "dead" and after["state"] != "dead":
                self.report_violation("dead", f"{key[0]} came back to life")
            if before["state"] != "dead" and after["state"] == "dead":
                self._declared_dead(after)
        elif key[1].startswith("TURN#") and after["state"] == "sending":
            taken = before["state"] != "sending" or after["epoch"] != before["epoch"]
            if taken and after["epoch"] != self.world.session(after["tenant"])["epoch"]:
                self.report_violation("epoch", f"{key} was taken at {after['epoch']}, which is over")

    def _declared_dead(self, runner: Item) -> None:
        """Checks that a living runner is failed over only for reasons of its own; one without sessions may be."""
        if not runner.get("capacity") and not runner.get("assigned"):
            return
        now = self.world.loop.time()
        for machine in self.world.machines:
            if machine.up and machine.process is not None and machine.identity == runner["pk"].removeprefix("RUNNER#"):
                silent = sum(
                    min(end, now) - max(begin, now - LONG_ENOUGH)
                    for begin, end in self._outages
                    if end > now - LONG_ENOUGH
                )
                lately = now - machine.last_bad < LONG_ENOUGH or machine.process.stopped
                if not lately and silent <= OUTAGE_BORNE:
                    self.report_violation("failed over", f"{runner['pk']} was well, the control plane was not")

    def outage(self, seconds: float) -> None:
        now = self.world.loop.time()
        self._outages.append((now, now + seconds))

    def scanned(self, tenant: str) -> None:
        """Checks that an owner links once, and not again while there is a usable snapshot."""
        self.world.trace("scanned", tenant=tenant)
        if self.world.session(tenant).get("snapshots") and not self.world.verdict.counted["damage a snapshot"]:
            self.report_violation("login lost", f"{tenant} had to be linked again")

    def check_model_call(self, chat: str, instant: int) -> None:
        """Checks that the model is not called for a chat that a person has taken over."""
        item = self.world.cloud.table.partitions[chat]["CHAT"]
        lately = self.world.loop.time() - self._taken_over_at.get(chat, 0.0) < SETTLED_AFTER
        if instant < item.get("takeover_until", 0) and not lately:
            self.report_violation("takeover", f"{chat} is answered although its owner answers")

    def sends(self, browser: "Browser", message: str) -> None:
        """Checks that a runner that begins to send still holds the session."""
        session = self.world.session(browser.tenant)
        if session["epoch"] != browser.epoch:
            self.report_violation(
                "stale send", f"{browser.tenant} at epoch {browser.epoch}, now {session['epoch']}: {message}"
            )

    # -- at the end ----------------------------------------------------------------------------------------------

    def not_converged(self) -> None:
        for tenant in self.world.tenants:
            wanted, session = self.world.should_run(tenant), self.world.session(tenant)
            if wanted and not self.world.is_online(tenant):
                self.report_violation(
                    "not converged", f"{tenant} is {session['phase']} held by {session.get('runner')}"
                )
            elif not wanted and session.get("runner") is not None:
                self.report_violation("not converged", f"{tenant} is still held by {session['runner']}")

    def is_all_answered(self) -> bool:
        return not any(
            self._unanswered(tenant) or self.contents.unfinished(tenant) or self._await_reason(tenant)
            for tenant in self.world.tenants
        )

    def _await_reason(self, tenant: str) -> bool:
        """Returns whether a message that cannot be decrypted has no reason yet."""
        account, now = self.world.accounts[tenant], self.world.loop.time()
        unreadable = [one for sent in account.sent.values() for one in sent if one.readable_at > now]
        if not unreadable or not self.world.should_run(tenant):
            return False
        stored = self.stored(tenant)
        return any(
            (one.contact.phone, one.id) not in stored and self._can_be_handed_in(tenant, account, one)
            for one in unreadable
            if not account.newest[one.id].deleted
        )

    def conclude(self) -> None:
        for error in self.world.loop.errors:
            self.report_violation("crashed", error)
        for tenant in self.world.tenants:
            account = self.world.accounts[tenant]
            self.world.verdict.messages += sum(len(sent) for sent in account.sent.values())
            self.world.verdict.shown += sum(len(shown) for shown in account.shown.values())
            for stanza, why in self._unanswered(tenant):
                self.report_violation("unanswered", f"{stanza} of {tenant}: {why}")
            self._check_replies(tenant, account)
            self.contents.conclude(tenant)

    def _unanswered(self, tenant: str) -> list[tuple[str, str]]:
        """Returns the messages without an answer or a reason, of those that were handed in or still can be."""
        account, found = self.world.accounts[tenant], []
        stored = self.stored(tenant)
        answered, reasons = self._covered(tenant)
        stream = account.stream
        linked_at = self.world.session(tenant).get("linked_at") or 0
        for contact, sent in account.sent.items():
            shown = {one.id for one in account.shown[contact]}
            for stanza in sent:
                item = stored.get((contact.phone, stanza.id))
                if stanza.second * 1000 < linked_at:
                    continue  # history is never answered
                if item is None:
                    if self._must_be_stored(tenant, account, stanza):
                        found.append((stanza.id, "never handed in"))
                elif item.get("skipped") == SkipReason.NEVER_DECRYPTED and stanza.readable_at <= self.world.loop.time():
                    if self._must_be_decrypted(tenant, account, stanza):
                        found.append((stanza.id, "readable, not answered"))
                elif item.get("skipped") is None and (contact.phone, stanza.id) not in reasons:
                    parts = answered.get((contact.phone, stanza.id))
                    if parts is None and self.world.should_run(tenant):
                        found.append((stanza.id, "handed in, not answered"))
                    elif parts is not None and not set(parts) <= shown:
                        found.append((stanza.id, "the answer was never shown"))
        if stream is None and self.world.should_run(tenant):
            found.append(("-", "no browser is connected"))
        return found

    def _must_be_stored(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns whether a message that is not stored should be by now."""
        if not self.world.should_run(tenant) or not self._can_be_handed_in(tenant, account, stanza):
            return False
        now = self.world.loop.time()
        age = EPOCH_MS // 1000 + now - stanza.second
        if account.newest[stanza.id].deleted:
            return False
        return stanza.readable_at <= now or age > DECRYPTED_WITHIN.total_seconds() + REASON_WITHIN

    def _must_be_decrypted(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns whether the text of a message that was stored without it is still to be handed in and answered."""
        stream, newest = account.stream, account.newest[stanza.id]
        if not self.world.should_run(tenant) or newest.deleted or stream is None:
            return False
        in_time = EPOCH_MS // 1000 + self.world.loop.time() - stanza.second < MAX_MESSAGE_AGE.total_seconds()
        return in_time and newest.key in stream.login.received

    def _can_be_handed_in(self, tenant: str, account: "Account", stanza: "Stanza") -> bool:
        """Returns True if the message is at WhatsApp, in the connected browser, or in a journal on a disk."""
        stream = account.stream
        in_browser = stream is not None and stanza.key in stream.login.received
        noted = any(stanza.id in waiting_in(machine.disk / tenant / "journal.jsonl") for machine in self.world.machines)
        return stanza in account.queue or in_browser or noted

    def stored(self, tenant: str) -> dict[tuple[str, str], Item]:
        """Returns the messages of contacts in the table, by phone and id."""
        return {
            (self._phone(tenant, item), item["id"]): item
            for item in self.items_of(tenant)
            if item["sk"].startswith("MESSAGE#") and not item["from_me"]
        }

    def items_of(self, tenant: str) -> list[Item]:
        """Returns the items of the tenant's chats."""
        table = self.world.cloud.table
        return [
            item
            for chat, items in table.partitions.items()
            if chat.startswith(f"CHAT#{tenant}#")
            for item in items.values()
        ]

    def _phone(self, tenant: str, item: Item) -> str:
        chat = item["pk"].rpartition("#")[2]
        contact = self.world.accounts[tenant].contact_of(chat)
        assert contact is not None
        return contact.phone

    def _turns(self, tenant: str) -> list[tuple[str, Any, Item]]:
        return [
            (self._phone(tenant, item), turn_from(item), item)
            for item in self.items_of(tenant)
            if item["sk"].startswith("TURN#")
        ]

    def _covered(self, tenant: str) -> tuple[dict[tuple[str, str], tuple[str, ...]], set[tuple[str, str]]]:
        """Returns the messages that sent turns answer, with their parts, and those that discarded turns skip."""
        answered: dict[tuple[str, str], tuple[str, ...]] = {}
        reasons: set[tuple[str, str]] = set()
        for phone, turn, _ in self._turns(tenant):
            for key in turn.messages:
                message = phone, key.partition("#")[2]
                if turn.state == "sent":
                    answered[message] = turn.part_ids
                elif turn.state == "discarded" and turn.reason not in (None, SkipReason.DELETED):
                    reasons.add(message)
        return answered, reasons

    def _check_replies(self, tenant: str, account: "Account") -> None:
        turns = self._turns(tenant)
        parts = {id: (turn, place) for _, turn, _ in turns for place, id in enumerate(turn.part_ids)}
        stored = self.stored(tenant)
        for contact, shown in account.shown.items():
            self._check_chat(tenant, contact, [(one.id, one.text) for one in shown], parts, stored)
            self._check_arrivals(account, contact, stored)
        for item in self.items_of(tenant):
            if item["sk"].startswith("MESSAGE#me#") and item["id"] in parts:
                self.report_violation("misread", f"our own reply {item['id']} was taken for the owner's")

    def _check_arrivals(self, account: "Account", contact: "Contact", stored: dict[tuple[str, str], Item]) -> None:
        """Checks that one runner hands a chat in as it was written; unreadable messages may be late, and deletions."""
        latest: dict[tuple[str, int] | None, tuple[str, str]] = {}
        for stanza in account.sent[contact]:
            item = stored.get((contact.phone, stanza.id))
            if item is None or stanza.readable_at or account.newest[stanza.id].deleted:
                continue
            by = self._handed_in_by[item["pk"], item["sk"]]
            if by in latest and item["at"] < latest[by][0]:
                self.report_violation("out of order", f"{stanza.id} was handed in before {latest[by][1]}")
            latest[by] = max(latest.get(by, ("", "")), (item["at"], stanza.id))

    def _check_chat(
        self,
        tenant: str,
        contact: "Contact",
        shown: list[tuple[str, str]],
        parts: dict[str, tuple[Any, int]],
        stored: dict[tuple[str, str], Item],
    ) -> None:
        calls = self.world.cloud.openai.calls
        texts_of: dict[str, set[str]] = {}
        arrived_at = ""
        seen: set[str] = set()
        for id, text in shown:
            call = calls[text[:5]]
            if id in seen or text in seen:
                self.report_violation("duplicated", f"{id} was shown twice to {contact.phone}")
            seen |= {id, text}
            for key in call.covers:
                texts_of.setdefault(key, set()).add(text[:5])
            if id not in parts or without_wordings(parts[id][0].parts[parts[id][1]]) != without_wordings(text):
                self.report_violation("untrue", f"{id} is not what the control plane stored of {call.turn}")
            arrivals = [
                stored[contact.phone, key.partition("#")[2]]["at"]
                for key in call.covers
                if (contact.phone, key.partition("#")[2]) in stored
            ]
            if arrivals and max(arrivals) < arrived_at:
                self.report_violation("out of order", f"{id} answers what came before what was answered before it")
            arrived_at = max([arrived_at, *arrivals])
        for key, texts in texts_of.items():
            if len(texts) > 1:
                self.report_violation("duplicated", f"{key} of {tenant} was answered by {sorted(texts)}")
