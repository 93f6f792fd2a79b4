"""Classifies an inbound message: answer it, skip it for a reason, or count it as a takeover. Pure; takes `now`."""

from dataclasses import dataclass

from chalicelib.model.conversation import MAX_MESSAGE_AGE
from chalicelib.model.messages.skip_reason import SkipReason
from chalicelib.model.tenant import GroupAnswers, Policies, TenantState
from chalicelib.model.times import milliseconds
from wire import MessageKind, Outcome


@dataclass(frozen=True, slots=True)
class Classification:
    """The outcome of a message that is handed in, and the reason if it is skipped or was stored before."""

    outcome: Outcome
    reason: SkipReason | None = None


def classify(
    *,
    chat_id: str,
    from_me: bool,
    kind: MessageKind,
    text: str,
    phone: str | None,
    sent_at: int,
    answers_since: int | None,
    takeover_until: int,
    state: TenantState,
    policies: Policies,
    now: int,
) -> Classification:
    """Classifies by the first rule that applies. A message from the account that is not our reply is a takeover."""
    if chat_id.endswith("@broadcast") or chat_id.endswith("@newsletter"):
        return Classification(Outcome.SKIPPED, SkipReason.BROADCAST)
    if from_me:
        if now - sent_at > milliseconds(MAX_MESSAGE_AGE) or answers_since is None or sent_at < answers_since:
            return Classification(Outcome.SKIPPED, SkipReason.HISTORY)
        return Classification(Outcome.TAKEOVER)
    if answers_since is None or sent_at < answers_since:
        return Classification(Outcome.SKIPPED, SkipReason.HISTORY)
    if chat_id.endswith("@g.us") and policies.groups is not GroupAnswers.ALWAYS:
        return Classification(Outcome.SKIPPED, SkipReason.GROUP)
    if phone is not None and phone in policies.ignored_phones:
        return Classification(Outcome.SKIPPED, SkipReason.IGNORED_CONTACT)
    if policies.allowed_phones and phone not in policies.allowed_phones:
        return Classification(Outcome.SKIPPED, SkipReason.NOT_ALLOWED)
    if now - sent_at > milliseconds(MAX_MESSAGE_AGE):
        return Classification(Outcome.SKIPPED, SkipReason.TOO_OLD)
    if kind is MessageKind.CIPHERTEXT:
        return Classification(Outcome.SKIPPED, SkipReason.NOT_DECRYPTED)
    if kind is MessageKind.OTHER or not text.strip():
        return Classification(Outcome.SKIPPED, SkipReason.no_text(kind))
    if state is not TenantState.ACTIVE:
        return Classification(Outcome.SKIPPED, SkipReason.PAUSED)
    if now < takeover_until:
        return Classification(Outcome.SKIPPED, SkipReason.TAKEOVER)
    return Classification(Outcome.QUEUED)
