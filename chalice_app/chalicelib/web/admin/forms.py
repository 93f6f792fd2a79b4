"""What an operator may type, field by field, and the sentence for everything else."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from chalicelib.errors import Invalid
from chalicelib.model import Assistant, Policies
from chalicelib.rendering.languages import LANGUAGES

DEFAULT_MODEL: Final = "gpt-6-luna"
NAME_AT_MOST: Final = 80
EMAIL_AT_MOST: Final = 254
KEY_AT_MOST: Final = 300
MODEL_AT_MOST: Final = 100
INSTRUCTIONS_AT_MOST: Final = 32_000
GIVE_UP_TEXT_AT_MOST: Final = 500
PHONES_AT_MOST: Final = 500

#: How keys of others begin, the more particular first.
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
#: Things of OpenAI that are no key.
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
#: They turn a name around for whoever reads it.
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


def wrong(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("field", "{sentence}", {"sentence": sentence})


def _line(value: Any) -> str:
    """One line of text without anything invisible in it; spaces around it are dropped."""
    text = str(value or "").strip()
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text) or BIDI_CONTROLS.search(text):
        raise wrong("This must be one line, without line breaks or invisible characters. Type it by hand.")
    return text


def _name(value: Any) -> str:
    name = " ".join(_line(value).split())
    if not name:
        raise wrong("Enter the client's name, as its people will read it in the mail.")
    if len(name) > NAME_AT_MOST:
        raise wrong(f"Use at most {NAME_AT_MOST} characters.")
    if "<" in name or ">" in name:
        raise wrong("A name cannot contain < or >.")
    if not any(letter.isalnum() for letter in name):
        raise wrong("A name needs at least one letter or digit.")
    return name


def _email(value: Any) -> str:
    from email_validator import EmailNotValidError, validate_email

    email = _line(value)
    if not email:
        raise wrong("Enter the owner's e-mail address. The link to connect WhatsApp goes there.")
    if len(email) > EMAIL_AT_MOST:
        raise wrong(f"This is longer than an e-mail address can be ({EMAIL_AT_MOST} characters).")
    try:
        # SES delivers to ASCII addresses only; a domain with accents has an ASCII form
        address = validate_email(email, check_deliverability=False, allow_smtputf8=False, strict=True).ascii_email
    except EmailNotValidError:
        raise wrong("This is not an e-mail address. It looks like name@example.com.") from None
    return str(address)


def _language(value: Any) -> str:
    if value not in LANGUAGES:
        raise wrong("Choose one of the languages in the list.")
    return str(value)


def _key(value: Any) -> str:
    key = str(value or "").strip()
    if not key:
        raise wrong("Enter the OpenAI key of this client. It begins with sk-.")
    for start, provider in OTHER_PROVIDERS.items():
        if key.startswith(start):
            raise wrong(f"This is a key of {provider}. Answerline needs one of OpenAI; it begins with sk-.")
    for start, what in NOT_KEYS.items():
        if key.startswith(start):
            raise wrong(f"This is {what}, not a key. A key of OpenAI begins with sk-.")
    if any(not "!" <= letter <= "~" for letter in key):
        raise wrong("There are spaces, line breaks or foreign characters inside this key. Copy it again as a whole.")
    if len(key) > KEY_AT_MOST:
        raise wrong("This is longer than a key can be. Copy the key alone.")
    if "*" in key or "…" in key or "..." in key:
        raise wrong("This is a shortened key. OpenAI shows a whole key only once: create a new one.")
    if not SHAPE_OF_KEY.fullmatch(key):
        raise wrong("This does not look like a key of OpenAI. One begins with sk- and has letters, digits, - and _.")
    return key


def _key_or_nothing(value: Any) -> str:
    return _key(value) if str(value or "").strip() else ""


def _model(value: Any) -> str:
    model = _line(value)
    if not model:
        raise wrong(f"Enter the name of a model, for example {DEFAULT_MODEL}.")
    if re.match(r"(asst|pmpt|wf)_", model):
        raise wrong(
            f"This is an id of something stored at OpenAI, not a model. A model is called {DEFAULT_MODEL}, say."
        )
    if len(model) > MODEL_AT_MOST or not SHAPE_OF_MODEL.fullmatch(model):
        raise wrong(f"This is not the name of a model. One looks like {DEFAULT_MODEL}.")
    return model


def _instructions(value: Any) -> str:
    """Long text; line ends become one kind, and control characters that came along with a copy are dropped."""
    text = str(value or "").replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs"))
    text = text.strip()
    if not text:
        raise wrong("Tell the assistant who it speaks for and how it should answer.")
    if len(text) > INSTRUCTIONS_AT_MOST:
        raise wrong(f"Use at most {INSTRUCTIONS_AT_MOST:,} characters; these are {len(text):,}.")
    return text


def _reference(value: Any) -> str:
    reference = _line(value)
    if reference.startswith("wf_"):
        raise wrong(WORKFLOWS_ENDED)
    if reference and not SHAPE_OF_REFERENCE.fullmatch(reference):
        raise wrong("An id of an assistant looks like asst_… or pmpt_…. Leave this empty if there is none.")
    return reference


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def number(value: Any) -> int:
        text = str(value or "").strip()
        if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise wrong(f"Enter a whole number from {least:,} to {most:,}.")
        return int(text)

    return number


def _phones(value: Any) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for line in re.split(r"[\n\r,;]+", str(value or "")):
        digits = re.sub(r"[ ()./\u00a0-]", "", line.strip()).removeprefix("+").removeprefix("00")
        if not digits:
            continue
        if not re.fullmatch(r"[1-9][0-9]{4,19}", digits, re.ASCII):
            raise wrong("Enter one phone number per line, with its country code, for example +44 7700 900123.")
        found[digits] = None
    if len(found) > PHONES_AT_MOST:
        raise wrong(f"Enter at most {PHONES_AT_MOST} numbers.")
    return tuple(found)


def _give_up_text(value: Any) -> str:
    text = str(value or "").replace("\r\n", "\n").strip()
    text = "".join(letter for letter in text if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cs"))
    if len(text) > GIVE_UP_TEXT_AT_MOST:
        raise wrong(f"Use at most {GIVE_UP_TEXT_AT_MOST} characters.")
    return text


class Form(BaseModel):
    """Fields as a browser posts them; one that is missing counts as empty."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Self:
        """Raises Invalid with a sentence for each field that needs another look."""
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as invalid:
            sentences = {str(error["loc"][0]): error["msg"] for error in invalid.errors(include_input=False)}
        raise Invalid(sentences | _better(sentences, fields))


def _better(sentences: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """Who gives only an id hopes that we read the rest at OpenAI: say why we cannot."""
    reference = fields.get("legacy_reference", "").strip()
    if "instructions" in sentences and not fields.get("instructions", "").strip():
        if reference.startswith("asst_"):
            return {"legacy_reference": ASSISTANTS_ENDED}
        if reference.startswith("pmpt_"):
            return {"legacy_reference": PROMPTS_END}
    return {}


class TenantForm(Form):
    """Who the client is, and how its line answers."""

    name: Annotated[str, BeforeValidator(_name)] = ""
    owner_email: Annotated[str, BeforeValidator(_email)] = ""
    language: Annotated[str, BeforeValidator(_language)] = ""
    model: Annotated[str, BeforeValidator(_model)] = ""
    instructions: Annotated[str, BeforeValidator(_instructions)] = ""
    legacy_reference: Annotated[str, BeforeValidator(_reference)] = ""

    def assistant(self, former: Assistant | None = None) -> Assistant:
        """The next version of ``former``, with what the form does not show kept."""
        reference = self.legacy_reference or None
        if former is None:
            return Assistant(1, self.model, self.instructions, legacy_reference=reference)
        return replace(former, model=self.model, instructions=self.instructions, legacy_reference=reference)


class NewTenantForm(TenantForm):
    api_key: Annotated[str, BeforeValidator(_key)] = ""


class EditTenantForm(TenantForm):
    #: empty keeps the one that is stored
    api_key: Annotated[str, BeforeValidator(_key_or_nothing)] = ""
    revision: Annotated[int, BeforeValidator(_whole(1, 10**9))] = 0

    takeover_minutes: Annotated[int, BeforeValidator(_whole(0, 10_080))] = 0
    replies_per_minute: Annotated[int, BeforeValidator(_whole(0, 60))] = 0
    replies_per_contact_per_day: Annotated[int, BeforeValidator(_whole(0, 10_000))] = 0
    tokens_per_month: Annotated[int, BeforeValidator(_whole(0, 10_000_000_000))] = 0
    history_messages: Annotated[int, BeforeValidator(_whole(0, 100))] = 0
    retention_days: Annotated[int, BeforeValidator(_whole(1, 90))] = 0
    answer_groups: Annotated[bool, BeforeValidator(lambda value: value == "yes")] = False
    ignored_phones: Annotated[tuple[str, ...], BeforeValidator(_phones)] = ()
    allowed_phones: Annotated[tuple[str, ...], BeforeValidator(_phones)] = ()
    give_up_text: Annotated[str, BeforeValidator(_give_up_text)] = ""

    def policies(self) -> Policies:
        return Policies(**{name: getattr(self, name) for name in Policies.__dataclass_fields__})
