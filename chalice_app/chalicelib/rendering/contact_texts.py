"""The texts that contacts read and no model writes: in the tenant's language."""

from chalicelib.model.conduct.introduction import is_introduction_due
from chalicelib.model.fixed_sentences import FixedSentence
from chalicelib.model.tenant import Policies, Tenant
from chalicelib.model.turn_rules.view import ChatView
from chalicelib.rendering.languages import translator


def fixed_sentence(tenant: Tenant, sentence: FixedSentence) -> str:
    """Returns the text of a fixed sentence."""
    return translator(tenant.language)(f"chat.{sentence}")


def emergency_sentence(policies: Policies, language: str) -> str:
    """Returns the sentence that an answer about an emergency begins with: the tenant's or ours; empty for none."""
    if not policies.emergency:
        return ""
    return policies.emergency_words or default_emergency_words(language)


def default_emergency_words(language: str) -> str:
    """Returns our own sentence for an emergency."""
    return translator(language)("chat.emergency")


def introduction_of(view: ChatView, now: int, sentence: FixedSentence | None = None) -> str:
    """Returns the introduction for a reply whose text is stored now; empty if none is due.

    The view may be as old as the check: while its turn is open, nothing else is sent in the chat.

    Args:
        sentence: the fixed sentence that the reply is; the confirmation of STOP says by itself what answers.
    """
    if sentence is FixedSentence.STOPPED:
        return ""
    due = is_introduction_due(view.chat, view.tenant.policies, view.linked_at, now)
    return introduction(view.tenant) if due else ""


def introduction(tenant: Tenant) -> str:
    """Returns the introduction: a fixed part that names an automatic assistant, then the tenant's words or ours."""
    own_words = tenant.policies.introduction_words or default_introduction_words(tenant.language)
    return f"{fixed_introduction(tenant.language, tenant.name)} {own_words}"


def fixed_introduction(language: str, name: str) -> str:
    """Returns the part of the introduction that nobody may change.

    Args:
        name: the business.
    """
    return translator(language)("chat.introduction", name=name)


def default_introduction_words(language: str) -> str:
    """Returns the part of the introduction that an operator may replace."""
    return translator(language)("chat.introduction_words")
