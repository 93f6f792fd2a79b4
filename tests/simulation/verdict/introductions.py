"""Promises about the introduction: first in the first reply of a chat, then not for 30 days or until the next login."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chalicelib.model import Turn, TurnState
from tests.simulation.wordings import introduced

if TYPE_CHECKING:
    from tests.simulation.verdict.inspector import Inspector
    from tests.simulation.world import World

Item = dict[str, Any]

REPEATED_AFTER_MS = 30 * 24 * 3_600_000
#: A sentence that is nowhere but in the introduction.
SENTENCE = "an automatic assistant (AI) answers"


class Introductions:
    """Observes the logins and the texts, and judges what each contact was shown, in its order."""

    def __init__(self, world: "World", inspector: "Inspector") -> None:
        self.world = world
        self.inspector = inspector
        #: By tenant: when the table heard of each login.
        self._linked_at: dict[str, list[int]] = defaultdict(list)
        #: By the key of a turn: when its text was stored.
        self._made_at: dict[tuple[str, str], int] = {}
        world.cloud.table.watchers.append(self._written)

    def _written(self, key: tuple[str, str], before: Item | None, after: Item | None) -> None:
        if after is None:
            return
        if key[1] == "SESSION" and after.get("linked_at") not in (None, *self._linked_at[key[0]]):
            self._linked_at[key[0]].append(after["linked_at"])
        was = before["state"] if before is not None and key[1].startswith("TURN#") else None
        if key[1].startswith("TURN#") and after["state"] == TurnState.READY != was:
            self._made_at[key] = self.world.cloud.clock()

    def conclude(self, tenant: str) -> None:
        turns = {part: turn for _, turn in self.inspector.records.turns(tenant) for part in turn.part_ids}
        shown: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
        for account in self.world.accounts_of(tenant):
            for contact, texts in account.shown.items():
                shown[contact.phone] += [(one.at, one.id, one.text) for one in texts]
        for phone, read in shown.items():
            self._check_chat(tenant, phone, [(id, text) for _, id, text in sorted(read)], turns)

    def _check_chat(self, tenant: str, phone: str, shown: list[tuple[str, str]], turns: dict[str, Turn]) -> None:
        last: int | None = None
        in_doubt = False
        for id, text in shown:
            turn = turns.get(id)
            if turn is None:
                continue  # it is judged elsewhere
            named, body = introduced(text)
            if SENTENCE in body or (named is not None and id != turn.part_id(0)):
                self._report(f"{id} has it in its middle")
            if named is not None and named != tenant:
                self._report(f"{id} of {tenant} introduces {named}")
            if id != turn.part_id(0):
                continue
            made_at = self._made_at[f"CHAT#{turn.tenant}#{turn.chat}", f"TURN#{turn.id}"]
            logins = self._linked_at[f"TENANT#{tenant}"]
            changed = any(turn.created_at <= login <= made_at for login in logins)
            login = max((one for one in logins if one <= made_at), default=0)
            due = last is None or last < login or made_at - last >= REPEATED_AFTER_MS
            if not changed and not in_doubt and due != (named is not None):
                self._report(f"{id} to {phone} {'lacks it' if due else 'has it again'}")
            self.world.count("introduction" if named is not None else "no introduction")
            if named is not None:
                last = made_at
                # Nobody reported that it was sent: the next reply may have it once more.
                in_doubt = turn.cursor == 0

    def _report(self, what: str) -> None:
        self.inspector.report_violation("introduction", what)
