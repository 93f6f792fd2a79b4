"""The assistant of a tenant: the settings of its replies, and how much its model thinks before one."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.model.stored_enum import StoredEnum

#: The efforts that OpenAI knows, the least first. A model takes some of them, or has no such setting.
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: The efforts that are tried where OpenAI refuses one and does not list those that the model takes.
TRIED_EFFORTS: Final = ("none", "minimal", "low", "medium")
#: The effort of a model that has no such setting: nothing is sent.
NO_EFFORT: Final = ""
#: The beginning of a model's name, and the least effort that it takes; the first that matches holds, and a model that
#: is not listed is tried with the least effort of all. OpenAI's model pages of November 2026; what it refuses is
#: replaced when a key is checked or a reply is made (`replacement_effort`).
LEAST_EFFORTS: Final = (
    (re.compile(r"gpt-[34]|chatgpt|gpt-5(\.\d+)?-chat|davinci|babbage"), NO_EFFORT),
    (re.compile(r"o\d"), "low"),
    (re.compile(r"gpt-5-pro"), "high"),
    (re.compile(r"gpt-5\.\d+-pro"), "medium"),
    (re.compile(r"gpt-5-codex"), "low"),
    (re.compile(r"gpt-5(?![.\d])"), "minimal"),
    (re.compile(r"gpt-6\.\d+-sol|gpt-6(\.\d+)?-astra"), "low"),
)
#: What may stand before a model's name: a fine-tuned one, or a server that serves the models of several.
PREFIX: Final = re.compile(r"ft:|openai/")
#: OpenAI refuses to search the web with this effort, and takes the next one.
EFFORT_WITHOUT_SEARCH: Final = "minimal"
LEAST_EFFORT_WITH_SEARCH: Final = "low"
#: The limit of an answer's tokens, unless an operator chose another one.
DEFAULT_MAX_OUTPUT_TOKENS: Final = 1_000
#: Searches of a month, unless an operator chose another limit: OpenAI bills $5 for them.
DEFAULT_WEB_SEARCHES_PER_MONTH: Final = 500


class AnswerLength(StoredEnum):
    """The length that answers should have; a sentence tells the model (``assistants/instructions.py``)."""

    FREE = "free"  #: as the instructions say
    SHORT = "short"  #: two or three sentences
    MEDIUM = "medium"  #: a paragraph or two
    LONG = "long"  #: as long as a chat allows
    UNKNOWN = "unknown"  #: written by a later release: as the instructions say


@dataclass(frozen=True, slots=True)
class Assistant:
    """A version of the settings with which the model answers; immutable, but for the effort that was found out."""

    version: int
    model: str
    instructions: str
    max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS
    #: one of :data:`EFFORTS`, as the operator chose it; None: the least that the model takes
    reasoning_effort: str | None = None
    verbosity: str | None = None
    temperature: float | None = None
    vector_store_ids: tuple[str, ...] = ()
    web_search: bool = False
    #: an ``asst_…`` or ``pmpt_…`` id that is kept as a label; no code depends on it
    legacy_reference: str | None = None
    #: the least effort that this model takes, once OpenAI refused another; None: none was refused yet
    found_effort: str | None = None
    #: a region of OpenAI, or an address of the operator's list (``openai_servers.py``); None: OpenAI without a region
    server: str | None = None
    answer_length: AnswerLength = AnswerLength.FREE
    #: the languages that it answers in, as people call them; empty: that of the contact
    languages: tuple[str, ...] = ()
    #: the only domains that are searched, with their subdomains; empty: the whole web
    web_domains: tuple[str, ...] = ()
    #: more searches of a month are not made; 0 switches the cap off
    web_searches_per_month: int = DEFAULT_WEB_SEARCHES_PER_MONTH


def least_effort(model: str) -> str | None:
    """Returns the least effort of a model that is listed here, NO_EFFORT if it has none; None if it is not listed."""
    name = PREFIX.sub("", model)
    return next((effort for beginning, effort in LEAST_EFFORTS if beginning.match(name)), None)


def effort_of(assistant: Assistant, *, compatible: bool = False) -> str:
    """Returns the effort to send, or NO_EFFORT to send none.

    Args:
        compatible: the server is not OpenAI's: without a choice of the operator, its own default holds.
    """
    listed = least_effort(assistant.model)
    if listed == NO_EFFORT:
        return NO_EFFORT
    if assistant.reasoning_effort is not None:
        return assistant.reasoning_effort
    automatic = assistant.found_effort
    if automatic is None:
        automatic = listed or (NO_EFFORT if compatible else EFFORTS[0])
    searches = assistant.web_search and automatic == EFFORT_WITHOUT_SEARCH
    return LEAST_EFFORT_WITH_SEARCH if searches else automatic


def replacement_effort(refused: str, supported: Sequence[str], tried: Collection[str]) -> str:
    """Returns the effort to try instead of a refused one: the nearest, in doubt the lesser; NO_EFFORT if none is left.

    Args:
        supported: the efforts that OpenAI listed as those that the model takes; empty if it listed none.
        tried: the efforts that were refused already.
    """
    place = EFFORTS.index(refused) if refused in EFFORTS else 0
    left = [each for each in EFFORTS if each in (supported or TRIED_EFFORTS) and each not in tried]
    return min(left, key=lambda each: abs(EFFORTS.index(each) - place), default=NO_EFFORT)


def with_effort(assistant: Assistant, effort: str) -> Assistant:
    """Returns the assistant with the effort that was found to be taken instead of its own."""
    if assistant.reasoning_effort is None or effort == NO_EFFORT:
        return replace(assistant, reasoning_effort=None, found_effort=effort)
    return replace(assistant, reasoning_effort=effort)
