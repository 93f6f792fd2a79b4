"""The parsers of an assistant's settings: each value is parsed, or gets one sentence that says what to enter."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationInfo

from chalicelib.model.assistant import (
    DEFAULT_MAX_OUTPUT_TOKENS,
    DEFAULT_WEB_SEARCHES_PER_MONTH,
    EFFORTS,
    AnswerLength,
)
from chalicelib.model.assistants.web_domains import NoDomain, parse_domains
from chalicelib.model.openai_servers import GLOBAL, REGIONS
from chalicelib.web.admin.form import whole_number
from chalicelib.web.admin.text_field import invalid, parse_line, parse_lines

DEFAULT_MODEL: Final = "gpt-6-luna"
MAX_KEY_LENGTH: Final = 300
MAX_MODEL_LENGTH: Final = 100
MAX_INSTRUCTIONS_LENGTH: Final = 32_000
MAX_LANGUAGES: Final = 10
MAX_LANGUAGE_LENGTH: Final = 40
#: The choice of an effort that leaves it to Answerline.
AUTOMATIC: Final = "automatic"
#: The efforts that a form offers, and how people read them; an assistant may have another one.
EFFORT_LABELS: Final[Mapping[str, str]] = {
    AUTOMATIC: "As little as the model allows",
    "none": "Not at all",
    "minimal": "Minimal",
    "low": "Low",
    "medium": "Medium",
    "high": "High",
}
#: The lengths of an answer that a form offers.
LENGTH_LABELS: Final[Mapping[AnswerLength, str]] = {
    AnswerLength.FREE: "As the instructions say",
    AnswerLength.SHORT: "Short: two or three sentences",
    AnswerLength.MEDIUM: "Medium: two short paragraphs at most",
    AnswerLength.LONG: "Long: up to about 250 words",
}
#: How much a model writes by itself, as OpenAI calls it.
VERBOSITY_LABELS: Final[Mapping[str, str]] = {
    AUTOMATIC: "As the model does",
    "low": "Low",
    "medium": "Medium",
    "high": "High",
}

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


def parse_key(value: Any, info: ValidationInfo) -> str:
    """Parses a key of OpenAI; the keys of compatible servers have other forms."""
    key = str(value or "").strip()
    if not key:
        raise invalid("Enter the OpenAI key of this client. It begins with sk-.")
    if any(not "!" <= letter <= "~" for letter in key):
        raise invalid("There are spaces, line breaks or foreign characters inside this key. Copy it again as a whole.")
    if len(key) > MAX_KEY_LENGTH:
        raise invalid("This is longer than a key can be. Copy the key alone.")
    if (info.data.get("server") or GLOBAL) not in REGIONS:
        return key
    for prefix, provider in OTHER_PROVIDERS.items():
        if key.startswith(prefix):
            raise invalid(f"This is a key of {provider}. Answerline needs one of OpenAI; it begins with sk-.")
    for prefix, kind in NOT_KEYS.items():
        if key.startswith(prefix):
            raise invalid(f"This is {kind}, not a key. A key of OpenAI begins with sk-.")
    if "*" in key or "…" in key or "..." in key:
        raise invalid("This is a shortened key. OpenAI shows a whole key only once: create a new one.")
    if not SHAPE_OF_KEY.fullmatch(key):
        raise invalid("This does not look like a key of OpenAI. One begins with sk- and has letters, digits, - and _.")
    return key


def parse_optional_key(value: Any, info: ValidationInfo) -> str:
    """Parses a key; empty keeps the stored one."""
    return parse_key(value, info) if str(value or "").strip() else ""


def parse_model(value: Any) -> str:
    """Parses the name of a model."""
    model = parse_line(value)
    if not model:
        raise invalid(f"Enter the name of a model, for example {DEFAULT_MODEL}.")
    if re.match(r"(asst|pmpt|wf)_", model):
        raise invalid(
            f"This is an id of something stored at OpenAI, not a model. A model is called {DEFAULT_MODEL}, say."
        )
    if len(model) > MAX_MODEL_LENGTH or not SHAPE_OF_MODEL.fullmatch(model):
        raise invalid(f"This is not the name of a model. One looks like {DEFAULT_MODEL}.")
    return model


def parse_instructions(value: Any) -> str:
    """Parses the instructions, which are needed."""
    text = parse_lines(value)
    if not text:
        raise invalid("Tell the assistant who it speaks for and how it should answer.")
    if len(text) > MAX_INSTRUCTIONS_LENGTH:
        raise invalid(f"Use at most {MAX_INSTRUCTIONS_LENGTH:,} characters; these are {len(text):,}.")
    return text


def parse_reference(value: Any) -> str:
    """Parses the id of a former assistant."""
    reference = parse_line(value)
    if reference.startswith("wf_"):
        raise invalid(WORKFLOWS_ENDED)
    if reference and not SHAPE_OF_REFERENCE.fullmatch(reference):
        raise invalid("An id of an assistant looks like asst_… or pmpt_…. Leave this empty if there is none.")
    return reference


def parse_effort(value: Any) -> str | None:
    """Parses how much the model thinks; None leaves it to Answerline."""
    effort = str(value or AUTOMATIC)
    if effort == AUTOMATIC:
        return None
    if effort not in EFFORTS:
        raise invalid("Choose one of the values in the list.")
    return effort


def parse_length(value: Any) -> AnswerLength:
    """Parses how long answers should be."""
    text = str(value or AnswerLength.FREE)
    if text not in {str(each) for each in LENGTH_LABELS}:
        raise invalid("Choose one of the values in the list.")
    return AnswerLength(text)


def parse_languages(value: Any) -> tuple[str, ...]:
    """Parses the languages to answer in, as people call them."""
    names = [" ".join(each.split()) for each in re.split(r"[,;]", parse_line(value))]
    names = [each for each in dict.fromkeys(names) if each]
    for name in names:
        letters = name.replace(" ", "").replace("-", "").replace("(", "").replace(")", "")
        if len(name) > MAX_LANGUAGE_LENGTH or not letters.isalpha():
            raise invalid("Write the names of languages, with commas between them: German, English.")
    if len(names) > MAX_LANGUAGES:
        raise invalid(f"Name at most {MAX_LANGUAGES} languages. Leave this empty to answer in every contact's own.")
    return tuple(names)


def parse_domain_list(value: Any) -> tuple[str, ...]:
    """Parses the domains that a search of the web is limited to."""
    try:
        return parse_domains(parse_lines(value))
    except NoDomain as error:
        raise invalid(str(error)) from None


def parse_search_limit(value: Any) -> int:
    """Parses how many searches of the web a month may have."""
    return _search_limit(value) if str(value or "").strip() else DEFAULT_WEB_SEARCHES_PER_MONTH


def parse_limit(value: Any) -> int:
    """Parses the most tokens that an answer may have."""
    return _output_limit(value) if str(value or "").strip() else DEFAULT_MAX_OUTPUT_TOKENS


_search_limit = whole_number(0, 1_000_000)
#: OpenAI takes no smaller limit, and no model that it serves refuses the largest.
_output_limit = whole_number(16, 16_000)


def parse_verbosity(value: Any) -> str | None:
    """Parses how much a model writes by itself; None leaves it to the model."""
    verbosity = str(value or AUTOMATIC)
    if verbosity not in VERBOSITY_LABELS:
        raise invalid("Choose one of the values in the list.")
    return None if verbosity == AUTOMATIC else verbosity


def parse_temperature(value: Any) -> float | None:
    """Parses how much chance there is in the choice of words; None leaves it to the model."""
    text = parse_line(value).replace(",", ".")
    if not text:
        return None
    if not re.fullmatch(r"[0-9](\.[0-9]{1,3})?", text, re.ASCII) or float(text) > 2:
        raise invalid("Enter a number from 0 to 2, such as 0.7, or leave this empty.")
    return float(text)


def parse_server(value: Any, info: ValidationInfo) -> str | None:
    """Parses the server that answers: a region of OpenAI, or one that the operator lists; None is OpenAI, global."""
    server = str(value or GLOBAL)
    if server == GLOBAL:
        return None
    if server not in REGIONS and server not in (info.context or {}).get("servers", ()):
        raise invalid("This server is not in OPENAI_SERVERS of this installation. Choose one in the list.")
    return server


def explain_reference(sentences: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, str]:
    """Explains, to an operator who entered an id without instructions, that OpenAI no longer gives those out."""
    reference = fields.get("legacy_reference", "").strip()
    if "instructions" in sentences and not fields.get("instructions", "").strip():
        if reference.startswith("asst_"):
            return {"legacy_reference": ASSISTANTS_ENDED}
        if reference.startswith("pmpt_"):
            return {"legacy_reference": PROMPTS_END}
    return {}
