"""The part of a tenant's form about its conduct: what the line says of itself."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from chalicelib.model import Policies, Tenant
from chalicelib.rendering.contact_texts import default_emergency_words, default_introduction_words, fixed_introduction
from chalicelib.rendering.languages import LANGUAGES
from chalicelib.web.admin.form import is_checked
from chalicelib.web.admin.text_field import invalid, parse_lines

#: What is on unless an operator switches it off, and how people read it.
ON, OFF = "on", "off"
INTRODUCTION_LABELS: Final[Mapping[str, str]] = {ON: "Yes", OFF: "No, for the reason below"}
SUBJECT_LABELS: Final[Mapping[str, str]] = {ON: "Only this business’s", OFF: "Any"}
MAX_WORDS_LENGTH: Final = 300
MAX_REASON_LENGTH: Final = 300


def _parse_switch(value: Any) -> bool:
    """Parses a choice that is on by default, also for a form that an earlier release rendered."""
    choice = ON if value in (None, "", True) else str(value)
    if choice not in (ON, OFF):
        raise invalid("Choose one of these.")
    return choice == ON


def _parse_paragraph(value: Any) -> str:
    """Parses text that stands in one paragraph."""
    text = " ".join(parse_lines(value).split())
    if len(text) > MAX_WORDS_LENGTH:
        raise invalid(f"Use at most {MAX_WORDS_LENGTH} characters; these are {len(text):,}.")
    return text


def _parse_introduction_words(value: Any) -> str:
    """Parses the tenant's own words; our own, in any language, count as none, and follow the tenant's language."""
    words = _parse_paragraph(value)
    return "" if words in {default_introduction_words(language) for language in LANGUAGES} else words


def _parse_emergency_words(value: Any) -> str:
    words = _parse_paragraph(value)
    return "" if words in {default_emergency_words(language) for language in LANGUAGES} else words


def _parse_off_reason(value: Any, info: ValidationInfo) -> str:
    """Parses why the line does not introduce itself; nothing where it does."""
    if info.data.get("introduction", True):
        return ""
    reason = " ".join(parse_lines(value).split())
    if not any(letter.isalnum() for letter in reason):
        raise invalid(
            "Say why contacts are not told that an automatic assistant answers. Or leave the introduction switched on."
        )
    if len(reason) > MAX_REASON_LENGTH:
        raise invalid(f"Use at most {MAX_REASON_LENGTH} characters; these are {len(reason):,}.")
    return reason


class ConductFields(BaseModel):
    """The fields by which an operator chooses what the line says of itself."""

    model_config = ConfigDict(frozen=True, validate_default=True, hide_input_in_errors=True, defer_build=True)

    introduction: Annotated[bool, BeforeValidator(_parse_switch)] = True
    introduction_words: Annotated[str, BeforeValidator(_parse_introduction_words)] = ""
    introduction_off_reason: Annotated[str, BeforeValidator(_parse_off_reason)] = ""
    own_subjects_only: Annotated[bool, BeforeValidator(_parse_switch)] = True
    emergency: Annotated[bool, BeforeValidator(is_checked)] = False
    emergency_words: Annotated[str, BeforeValidator(_parse_emergency_words)] = ""


def conduct_as_fields(policies: Policies) -> Mapping[str, str]:
    """Returns what of the stored policies their own names do not show in the form."""
    return {
        "introduction": OFF if policies.introduction_off_reason else ON,
        "own_subjects_only": ON if policies.own_subjects_only else OFF,
    }


def conduct_context(tenant: Tenant) -> Mapping[str, Any]:
    """Returns what the fields offer, and our own sentences, which the form shows beside them."""
    return {
        "introductions": INTRODUCTION_LABELS,
        "subjects": SUBJECT_LABELS,
        "fixed_introduction": fixed_introduction(tenant.language, tenant.name),
        "default_introduction_words": default_introduction_words(tenant.language),
        "default_emergency_words": default_emergency_words(tenant.language),
    }
