"""Validates the forms of tenants: each field is parsed, or gets one sentence that names what to change."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Final, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from chalicelib.errors import Invalid
from chalicelib.model import Assistant, Audience, GroupAnswers, Policies
from chalicelib.model.mail_address import ascii_address
from chalicelib.model.messages.phone_numbers import countries
from chalicelib.rendering.languages import LANGUAGES
from chalicelib.web.admin.phone_lists import WrongEntries, parse_phone_list

DEFAULT_MODEL: Final = "gpt-6-luna"
MAX_NAME_LENGTH: Final = 80
MAX_EMAIL_LENGTH: Final = 254
MAX_KEY_LENGTH: Final = 300
MAX_MODEL_LENGTH: Final = 100
MAX_INSTRUCTIONS_LENGTH: Final = 32_000
MAX_GIVE_UP_TEXT_LENGTH: Final = 500

#: The prefixes of other providers' keys, the longer ones first.
OTHER_PROVIDERS: Final[Mapping[str, str]] = {
    "sk-ant-": "Anthropic",
    "sk-or-": "OpenRouter",
    "AIza": "Google",
    "gsk_": "Groq",
    "xai-": "xAI",
    "pplx-": "Perplexity",
    "hf_": "Hugging Face",
    "r8_": "Replicate",
    "AKIA": "AWS",
}
#: The prefixes of OpenAI's ids that are not keys.
NOT_KEYS: Final[Mapping[str, str]] = {
    "org-": "an organisation's id",
    "proj_": "a project's id",
    "sess-": "a session of OpenAI's own website",
    "asst_": "an assistant's id",
    "pmpt_": "a stored prompt's id",
    "wf_": "a workflow's id",
}
SHAPE_OF_KEY: Final = re.compile(r"sk-[A-Za-z0-9_-]{8,}")
SHAPE_OF_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
SHAPE_OF_REFERENCE: Final = re.compile(r"(asst|pmpt)_[A-Za-z0-9]{6,80}")
#: Control characters that change the reading direction of a name.
BIDI_CONTROLS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")

ASSISTANTS_ENDED: Final = (
    "OpenAI switched its Assistants off on 26 August 2026, so nobody can read what is behind an asst_… id any more. "
    "Paste the assistant's instructions into the field for them; the id is kept as a label."
)
PROMPTS_END: Final = (
    "OpenAI ends its stored prompts on 30 November 2026, so Answerline does not read what is behind a pmpt_… id. "
    "Paste the prompt's text into the field for instructions; the id is kept as a label."
)
WORKFLOWS_ENDED: Final = (
    "A wf_… id is a workflow of Agent Builder. It could never be called from outside, and OpenAI ends it on "
    "30 November 2026. Leave this empty, and describe what it does in the instructions."
)


def invalid(sentence: str) -> PydanticCustomError:
    """Returns the error of one field, with the sentence that the form shows."""
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


def _parse_line(value: Any) -> str:
    """Parses one line of text without invisible characters; strips the spaces around it."""
    text = str(value or "").strip()
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text) or BIDI_CONTROLS.search(text):
        raise invalid("This must be one line, without line breaks or invisible characters. Type it by hand.")
    return text


def _parse_name(value: Any) -> str:
    name = " ".join(_parse_line(value).split())
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
    email = _parse_line(value)
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
    name = _parse_line(value).replace(" ", "_")
    if name and name not in available_timezones():
        raise invalid("This is not a time zone. Choose one of the list, for example Europe/Berlin.")
    return name


def _parse_key(value: Any) -> str:
    key = str(value or "").strip()
    if not key:
        raise invalid("Enter the OpenAI key of this client. It begins with sk-.")
    for prefix, provider in OTHER_PROVIDERS.items():
        if key.startswith(prefix):
            raise invalid(f"This is a key of {provider}. Answerline needs one of OpenAI; it begins with sk-.")
    for prefix, kind in NOT_KEYS.items():
        if key.startswith(prefix):
            raise invalid(f"This is {kind}, not a key. A key of OpenAI begins with sk-.")
    if any(not "!" <= letter <= "~" for letter in key):
        raise invalid("There are spaces, line breaks or foreign characters inside this key. Copy it again as a whole.")
    if len(key) > MAX_KEY_LENGTH:
        raise invalid("This is longer than a key can be. Copy the key alone.")
    if "*" in key or "…" in key or "..." in key:
        raise invalid("This is a shortened key. OpenAI shows a whole key only once: create a new one.")
    if not SHAPE_OF_KEY.fullmatch(key):
        raise invalid("This does not look like a key of OpenAI. One begins with sk- and has letters, digits, - and _.")
    return key


def _parse_optional_key(value: Any) -> str:
    return _parse_key(value) if str(value or "").strip() else ""


def _parse_model(value: Any) -> str:
    model = _parse_line(value)
    if not model:
        raise invalid(f"Enter the name of a model, for example {DEFAULT_MODEL}.")
    if re.match(r"(asst|pmpt|wf)_", model):
        raise invalid(
            f"This is an id of something stored at OpenAI, not a model. A model is called {DEFAULT_MODEL}, say."
        )
    if len(model) > MAX_MODEL_LENGTH or not SHAPE_OF_MODEL.fullmatch(model):
        raise invalid(f"This is not the name of a model. One looks like {DEFAULT_MODEL}.")
    return model


def _parse_instructions(value: Any) -> str:
    """Parses long text; unifies line ends and drops control characters that a copy may bring along."""
    text = str(value or "").replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs"))
    text = text.strip()
    if not text:
        raise invalid("Tell the assistant who it speaks for and how it should answer.")
    if len(text) > MAX_INSTRUCTIONS_LENGTH:
        raise invalid(f"Use at most {MAX_INSTRUCTIONS_LENGTH:,} characters; these are {len(text):,}.")
    return text


def _parse_reference(value: Any) -> str:
    reference = _parse_line(value)
    if reference.startswith("wf_"):
        raise invalid(WORKFLOWS_ENDED)
    if reference and not SHAPE_OF_REFERENCE.fullmatch(reference):
        raise invalid("An id of an assistant looks like asst_… or pmpt_…. Leave this empty if there is none.")
    return reference


def _one_of(choices: Iterable[StrEnum]) -> Callable[[Any], str]:
    offered = {str(choice) for choice in choices if choice.name != "UNKNOWN"}

    def choose(value: Any) -> str:
        if str(value) not in offered:
            raise invalid("Choose one of these.")
        return str(value)

    return choose


def _is_checked(value: Any) -> bool:
    return str(value) == "yes"


def _whole_number(least: int, most: int) -> Callable[[Any], int]:
    def number(value: Any) -> int:
        text = str(value or "").strip()
        if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise invalid(f"Enter a whole number from {least:,} to {most:,}.")
        return int(text)

    return number


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


def _parse_give_up_text(value: Any) -> str:
    text = str(value or "").replace("\r\n", "\n").strip()
    text = "".join(letter for letter in text if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cs"))
    if len(text) > MAX_GIVE_UP_TEXT_LENGTH:
        raise invalid(f"Use at most {MAX_GIVE_UP_TEXT_LENGTH} characters.")
    return text


class Form(BaseModel):
    """The fields that a browser posts; a missing one counts as empty."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True)

    @classmethod
    def parse(cls, fields: Mapping[str, str], former: Policies | None = None) -> Self:
        """Validates all fields. Raises Invalid with a sentence for each field that is wrong."""
        try:
            return cls.model_validate(dict(fields), context={"former": former})
        except ValidationError as error:
            sentences = {str(each["loc"][0]): each["msg"] for each in error.errors(include_input=False)}
        raise Invalid(sentences | _explain_reference(sentences, fields))


def _explain_reference(sentences: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """Explains, to an operator who entered an id without instructions, that OpenAI no longer gives those out."""
    reference = fields.get("legacy_reference", "").strip()
    if "instructions" in sentences and not fields.get("instructions", "").strip():
        if reference.startswith("asst_"):
            return {"legacy_reference": ASSISTANTS_ENDED}
        if reference.startswith("pmpt_"):
            return {"legacy_reference": PROMPTS_END}
    return {}


class TenantForm(Form):
    """The client, and how its line answers."""

    name: Annotated[str, BeforeValidator(_parse_name)] = ""
    owner_email: Annotated[str, BeforeValidator(_parse_email)] = ""
    language: Annotated[str, BeforeValidator(_parse_language)] = ""
    time_zone: Annotated[str, BeforeValidator(_parse_time_zone)] = ""
    country: Annotated[str, BeforeValidator(_parse_country)] = ""
    model: Annotated[str, BeforeValidator(_parse_model)] = ""
    instructions: Annotated[str, BeforeValidator(_parse_instructions)] = ""
    legacy_reference: Annotated[str, BeforeValidator(_parse_reference)] = ""
    #: no default: it is chosen
    audience: Annotated[Audience, BeforeValidator(_one_of(Audience))] = Audience.UNKNOWN

    def assistant(self, former: Assistant | None = None) -> Assistant:
        """Returns the next version of ``former``; settings that the form does not show are kept."""
        reference = self.legacy_reference or None
        if former is None:
            return Assistant(1, self.model, self.instructions, legacy_reference=reference)
        return replace(former, model=self.model, instructions=self.instructions, legacy_reference=reference)


class NewTenantForm(TenantForm):
    """The form that creates a tenant."""

    api_key: Annotated[str, BeforeValidator(_parse_key)] = ""


class EditTenantForm(TenantForm):
    """The form that edits a tenant, with its policies."""

    #: empty: the stored key is kept
    api_key: Annotated[str, BeforeValidator(_parse_optional_key)] = ""
    revision: Annotated[int, BeforeValidator(_whole_number(1, 10**9))] = 0

    takeover_minutes: Annotated[int, BeforeValidator(_whole_number(0, 10_080))] = 0
    replies_per_minute: Annotated[int, BeforeValidator(_whole_number(0, 60))] = 0
    replies_per_contact_per_day: Annotated[int, BeforeValidator(_whole_number(0, 10_000))] = 0
    tokens_per_month: Annotated[int, BeforeValidator(_whole_number(0, 10_000_000_000))] = 0
    history_messages: Annotated[int, BeforeValidator(_whole_number(0, 100))] = 0
    retention_days: Annotated[int, BeforeValidator(_whole_number(1, 90))] = 0
    groups: Annotated[GroupAnswers, BeforeValidator(_one_of(GroupAnswers))] = GroupAnswers.UNKNOWN
    answer_without_words: Annotated[bool, BeforeValidator(_is_checked)] = False
    wordless_notice: Annotated[bool, BeforeValidator(_is_checked)] = False
    ignored_phones: Annotated[tuple[str, ...], BeforeValidator(_parse_phones)] = ()
    allowed_phones: Annotated[tuple[str, ...], BeforeValidator(_parse_phones)] = ()
    give_up_text: Annotated[str, BeforeValidator(_parse_give_up_text)] = ""

    def policies(self, former: Policies) -> Policies:
        """Returns the policies of the form; those that it does not show are kept."""
        shown = Policies.__dataclass_fields__.keys() & type(self).model_fields.keys()
        return replace(former, **{name: getattr(self, name) for name in shown})
