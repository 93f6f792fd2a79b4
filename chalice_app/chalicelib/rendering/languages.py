"""What people read, by key and language; every sentence of the landing, the mails and the admin is in `locales/`."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from wire import Phase

LANGUAGES: Final = ("en", "de", "es", "pt", "fr")
#: Their own names, for the form that chooses one.
LANGUAGE_NAMES: Final[Mapping[str, str]] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "pt": "Português",
    "fr": "Français",
}
DEFAULT_LANGUAGE: Final = "en"

#: How a phase looks: the class of its badge, notice and mark in the style sheet.
TONES: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "quiet",
    Phase.STARTING: "working",
    Phase.QR: "attention",
    Phase.PAIRING: "attention",
    Phase.PASSKEY_REQUIRED: "problem",
    Phase.SYNCING: "working",
    Phase.ONLINE: "ok",
    Phase.OFFLINE: "attention",
    Phase.CONFLICT: "attention",
    Phase.BLOCKED: "problem",
    Phase.LOGGED_OUT: "problem",
    Phase.FAILED: "attention",
}

Say = Callable[..., str]


def speaker(language: str) -> Say:
    """A function of key and values that speaks this language; a value never is a format string itself."""
    texts = _texts(language if language in LANGUAGES else DEFAULT_LANGUAGE)

    def say(key: str, **values: object) -> str:
        text = texts.get(key)
        if text is None:
            text = _texts(DEFAULT_LANGUAGE)[key]
        return text.format(**values) if values else text

    return say


def preferred(accept_language: str) -> str:
    """The language of ours that an Accept-Language header likes best."""
    best, best_weight = DEFAULT_LANGUAGE, 0.0
    for wish in accept_language[:200].split(","):
        tag, _, parameter = wish.partition(";")
        language = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, max(0.0, float(value))) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


@cache
def _texts(language: str) -> Mapping[str, str]:
    path = Path(__file__).parent / "locales" / f"{language}.json"
    texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return texts
