"""The conduct of a line in words, for its tenant's page."""

from chalicelib.model import Tenant
from chalicelib.rendering.contact_texts import emergency_sentence


def describe_conduct(tenant: Tenant) -> dict[str, str]:
    """Returns what the line says of itself, by what it is called."""
    policies = tenant.policies
    off = policies.introduction_off_reason
    described = {
        "Introduces itself": f"no: {off}" if off else "as an automatic assistant",
        "Subjects": "only this business’s" if policies.own_subjects_only else "any",
        "In an emergency": emergency_sentence(policies, tenant.language),
    }
    return {name: text for name, text in described.items() if text}
