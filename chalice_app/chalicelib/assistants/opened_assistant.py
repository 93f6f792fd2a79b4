"""The assistant and the key of a tenant, opened for one call of the model. On AWS only *think* may decrypt a key."""

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.aws.kms import DecryptionFailed
from chalicelib.errors import ActionRequired, Unreadable
from chalicelib.llm.advice import ASSISTANT_UNREADABLE, KEY_UNREADABLE
from chalicelib.model import Assistant, Policies, Tenant
from chalicelib.model.conduct.own_instructions import own_instructions, with_own_instructions
from chalicelib.rendering.contact_texts import emergency_sentence
from wire import ProblemCode

if TYPE_CHECKING:
    from chalicelib.wiring import Services


def open_assistant(services: "Services", tenant: Tenant) -> tuple[Assistant, str]:
    """Returns the assistant, with our own instructions, and the key in clear.

    Raises ActionRequired if one cannot be read, and TransientError.
    """
    try:
        assistant = services.tenants.get_assistant(tenant.id, tenant.assistant_version)
    except Unreadable:
        raise ActionRequired(ProblemCode.ASSISTANT_REFUSED, ASSISTANT_UNREADABLE) from None
    assistant = instructed(assistant, business=tenant.name, language=tenant.language, policies=tenant.policies)
    try:
        return assistant, services.key_encryption.decrypt(tenant.id, tenant.key_ciphertext)
    except DecryptionFailed:
        raise ActionRequired(ProblemCode.KEY_UNREADABLE, KEY_UNREADABLE) from None


def instructed(assistant: Assistant, *, business: str, language: str, policies: Policies) -> Assistant:
    """Returns the assistant as each call has it: its instructions, and our own after them."""
    rules = own_instructions(policies, business=business, emergency=emergency_sentence(policies, language))
    return replace(assistant, instructions=with_own_instructions(assistant.instructions, rules))
