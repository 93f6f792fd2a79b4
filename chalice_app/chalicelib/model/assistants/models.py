"""The models that an assistant may be given: those that answer chats, our notes, and what replaces an old one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from chalicelib.model.assistant import PREFIX

#: The models that are suggested where no key was asked yet.
SUGGESTED: Final = ("gpt-6-luna", "gpt-6.1-terra", "gpt-6.2-sol")
#: The parts of a name that mean another use than answering a chat. None of these patterns is compiled before its use.
OTHER_USE: Final = (
    r"(?:^|[-/])(?:tts|whisper|transcribe|translate|embed\w*|moderation|dall-e|image|audio|realtime|live|sora|instruct"
    r"|search-(?:api|preview)|deep-research|computer-use|rerank\w*|guard|safeguard)(?:$|[-.\d])|^(?:babbage|davinci)-"
)
#: A dated version of a model, which is listed only where the model itself is not.
DATED: Final = r"-(?:\d{4}-\d{2}-\d{2}|\d{4})$"
#: So many are kept of a server that lists more.
MAX_MODELS: Final = 200
#: The beginning of a model's name and our note on it, the best choice for a line first; the first that matches holds.
#: Prices in dollars for a million tokens read and written, by OpenAI's model pages of November 2026.
NOTES: Final[tuple[tuple[str, str], ...]] = (
    (r"gpt-6-luna", "Quick and cheap ($0.10 / $0.50): right for most lines."),
    (r"gpt-6\.1-terra", "Better with difficult questions, at ten times the price ($1 / $5)."),
    (r"gpt-6\.[12]-sol", "For hard cases ($2 / $10). Always thinks, so an answer takes longer."),
    (r"gpt-6-sol", "For hard cases. An earlier version: gpt-6.2-sol follows it."),
    (r"gpt-6(?:\.\d+)?-astra", "Made for long work, not for chats: slow and dear ($8 / $40 and more)."),
    (r"gpt-5(?:\.\d+)?-pro|o\d-pro", "Made for long work, not for chats: slow and dear."),
    (r".*codex", "Made for programming, not for chats."),
    (r"gpt-5(?:-mini|-nano)?(?![\w.-])", "OpenAI ends it on 11 December 2026."),
    (r"gpt-5\.(?:1|4-nano)(?![\w.])", "OpenAI ends it on 1 April 2027."),
    (r"gpt-5", "An earlier generation: gpt-6-luna is cheaper and newer."),
    (r"gpt-4o|gpt-4\.1", "OpenAI ends it on 14 January 2027: gpt-6-luna follows it."),
    (r"o\d", "An earlier generation that always thinks: slow in a chat."),
    (r"gpt-oss", "OpenAI's open model, on a server that is not OpenAI's."),
)
#: The note on a model that was trained on this account's own data.
FINE_TUNED: Final = "A fine-tuned model of this account."
#: The beginning of an old model's name and the one that follows it, by OpenAI's page of deprecations where that names
#: one; the first that matches holds.
SUCCESSORS: Final[tuple[tuple[str, str], ...]] = (
    (r"gpt-3|gpt-4|chatgpt|gpt-5(?:\.\d+)?-chat|text-|davinci|babbage", "gpt-6-luna"),
    (r"gpt-5-nano", "gpt-6-luna"),
    (r"gpt-5-mini|o\d-mini|o1-preview", "gpt-6.1-terra"),
    (r"gpt-5(?![\w.])|gpt-5-(?:pro|\d)|o\d", "gpt-6.1-sol"),
    (r"gpt-5(?:\.\d+)?-codex|codex", "gpt-6.1-terra"),
    (r"gpt-5\.\d+", "gpt-6-luna"),
)


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that a key may use."""

    name: str
    #: the day on which OpenAI ends it, as YYYY-MM-DD; None if none is announced
    ends_on: str | None = None

    @property
    def note(self) -> str:
        """Our note on it."""
        return note_on(self.name)


@dataclass(frozen=True, slots=True)
class OfferedModels:
    """The models that a tenant's key may use, as its server listed them."""

    at: int
    models: tuple[OfferedModel, ...]


def note_on(name: str) -> str:
    """Returns our note on a model; empty if there is none."""
    if name.startswith("ft:"):
        return FINE_TUNED
    bare = PREFIX.sub("", name)
    return next((note for beginning, note in NOTES if re.match(beginning, bare)), "")


def successor_of(name: str) -> str:
    """Returns the model that follows an old one; empty for a model that is not old."""
    bare = name.removeprefix("ft:").removeprefix("openai/")
    return next((model for beginning, model in SUCCESSORS if re.match(beginning, bare)), "")


def choose_models(offered: Iterable[OfferedModel]) -> tuple[OfferedModel, ...]:
    """Returns those that answer chats, the best for a line first: no dated version of a model that is there itself."""
    chats = {each.name: each for each in offered if not re.search(OTHER_USE, each.name.lower())}
    kept = [each for each in chats.values() if (name := re.sub(DATED, "", each.name)) == each.name or name not in chats]
    return tuple(sorted(kept, key=lambda each: (_place(each.name), each.name))[:MAX_MODELS])


def _place(name: str) -> int:
    note = note_on(name)
    return next((place for place, (_, known) in enumerate(NOTES) if known == note), len(NOTES))
