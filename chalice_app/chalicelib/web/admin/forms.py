"""Validates the forms of tenants: each field is parsed, or gets one sentence that names what to change."""

from dataclasses import replace
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

from pydantic import BeforeValidator, ValidationInfo

from chalicelib.assistants.opened_assistant import instructed
from chalicelib.model import Assistant, Audience, GroupAnswers, Policies
from chalicelib.model.mail_address import ascii_address
from chalicelib.model.messages.phone_numbers import countries
from chalicelib.rendering.languages import LANGUAGES
from chalicelib.web.admin.assistant.fields import parse_key, parse_optional_key
from chalicelib.web.admin.assistant.form import AssistantForm
from chalicelib.web.admin.conduct.fields import ConductFields
from chalicelib.web.admin.form import is_checked, one_of, whole_number
from chalicelib.web.admin.phone_lists import WrongEntries, parse_phone_list
from chalicelib.web.admin.text_field import invalid, parse_line, parse_lines

#: A new tenant's budget, unless the operator enters another: about 3,000 replies, as `make cost` assumes them, for less
#: than $1 with the default model.
NEW_TENANT_TOKENS_PER_MONTH: Final = 5_000_000
MAX_NAME_LENGTH: Final = 80
MAX_EMAIL_LENGTH: Final = 254
MAX_GIVE_UP_TEXT_LENGTH: Final = 500


def _parse_name(value: Any) -> str:
    name = " ".join(parse_line(value).split())
    if not name:
        raise invalid("Enter the client's name, as its people will read it in the mail.")
    if len(name) > MAX_NAME_LENGTH:
        raise invalid(f"Use at most {MAX_NAME_LENGTH} characters.")
    if "<" in name or ">" in name:
        raise invalid("A name cannot contain < or >.")
    if not any(letter.isalnum() for letter in name):
        raise invalid("A name needs at least one letter or digit.")
    return name


def _parse_email(value: Any) -> str:
    email = parse_line(value)
    if not email:
        raise invalid("Enter the owner's e-mail address. The link to connect WhatsApp goes there.")
    if len(email) > MAX_EMAIL_LENGTH:
        raise invalid(f"This is longer than an e-mail address can be ({MAX_EMAIL_LENGTH} characters).")
    try:
        return ascii_address(email)
    except ValueError:
        raise invalid("This is not an e-mail address. It looks like name@example.com.") from None


def _parse_language(value: Any) -> str:
    if value not in LANGUAGES:
        raise invalid("Choose one of the languages in the list.")
    return str(value)


def _parse_time_zone(value: Any) -> str:
    name = parse_line(value).replace(" ", "_")
    if name and name not in available_timezones():
        raise invalid("This is not a time zone. Choose one of the list, for example Europe/Berlin.")
    return name


def _parse_country(value: Any) -> str:
    country = str(value or "")
    if country and country not in countries():
        raise invalid("Choose one of the countries in the list.")
    return country


def _parse_phones(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    former: Policies | None = (info.context or {}).get("former")
    stored = (*former.ignored_phones, *former.allowed_phones) if former is not None else ()
    try:
        return parse_phone_list(str(value or ""), info.data.get("country", ""), stored)
    except WrongEntries as wrong:
        raise invalid(str(wrong)) from None


def _parse_new_budget(value: Any) -> int:
    """Parses the budget of a new tenant: none only where the operator enters 0."""
    return _parse_budget(value) if str(value or "").strip() else NEW_TENANT_TOKENS_PER_MONTH


_parse_budget = whole_number(0, 10_000_000_000)


def _parse_give_up_text(value: Any) -> str:
    text = parse_lines(value)
    if len(text) > MAX_GIVE_UP_TEXT_LENGTH:
        raise invalid(f"Use at most {MAX_GIVE_UP_TEXT_LENGTH} characters.")
    return text


class TenantForm(AssistantForm):
    """The client, and how its line answers."""

    name: Annotated[str, BeforeValidator(_parse_name)] = ""
    owner_email: Annotated[str, BeforeValidator(_parse_email)] = ""
    language: Annotated[str, BeforeValidator(_parse_language)] = ""
    time_zone: Annotated[str, BeforeValidator(_parse_time_zone)] = ""
    country: Annotated[str, BeforeValidator(_parse_country)] = ""
    #: no default: it is chosen
    audience: Annotated[Audience, BeforeValidator(one_of(Audience))] = Audience.UNKNOWN

    def instructed(self, assistant: Assistant, policies: Policies) -> Assistant:
        """Returns the assistant as a reply calls it, with our own instructions."""
        return instructed(assistant, business=self.name, language=self.language, policies=policies)


class NewTenantForm(TenantForm):
    """The form that creates a tenant."""

    api_key: Annotated[str, BeforeValidator(parse_key)] = ""
    tokens_per_month: Annotated[int, BeforeValidator(_parse_new_budget)] = NEW_TENANT_TOKENS_PER_MONTH

    def policies(self) -> Policies:
        """Returns the policies of the form; what it does not show are defaults."""
        return Policies(audience=self.audience, tokens_per_month=self.tokens_per_month)


class EditTenantForm(ConductFields, TenantForm):
    """The form that edits a tenant, with its policies."""

    #: empty: the stored key is kept
    api_key: Annotated[str, BeforeValidator(parse_optional_key)] = ""
    revision: Annotated[int, BeforeValidator(whole_number(1, 10**9))] = 0

    takeover_minutes: Annotated[int, BeforeValidator(whole_number(0, 10_080))] = 0
    replies_per_minute: Annotated[int, BeforeValidator(whole_number(0, 60))] = 0
    replies_per_contact_per_day: Annotated[int, BeforeValidator(whole_number(0, 10_000))] = 0
    tokens_per_month: Annotated[int, BeforeValidator(_parse_budget)] = 0
    history_messages: Annotated[int, BeforeValidator(whole_number(0, 100))] = 0
    retention_days: Annotated[int, BeforeValidator(whole_number(1, 90))] = 0
    groups: Annotated[GroupAnswers, BeforeValidator(one_of(GroupAnswers))] = GroupAnswers.UNKNOWN
    answer_without_words: Annotated[bool, BeforeValidator(is_checked)] = False
    wordless_notice: Annotated[bool, BeforeValidator(is_checked)] = False
    ignored_phones: Annotated[tuple[str, ...], BeforeValidator(_parse_phones)] = ()
    allowed_phones: Annotated[tuple[str, ...], BeforeValidator(_parse_phones)] = ()
    give_up_text: Annotated[str, BeforeValidator(_parse_give_up_text)] = ""

    def policies(self, former: Policies) -> Policies:
        """Returns the policies of the form; those that it does not show are kept."""
        shown = Policies.__dataclass_fields__.keys() & type(self).model_fields.keys()
        return replace(former, **{name: getattr(self, name) for name in shown})
