"""Translations: the texts of landing page, mails and admin by key and language, which are in ``locales/``."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from chalicelib.model.times import local_time

LANGUAGES: Final = ("en", "de", "es", "pt", "fr")
#: Each language by its own name, for the form that chooses one.
LANGUAGE_NAMES: Final[Mapping[str, str]] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "pt": "Português (Brasil)",
    "fr": "Français",
}
DEFAULT_LANGUAGE: Final = "en"

Translate = Callable[..., str]


def translator(language: str) -> Translate:
    """Returns a function of key and values that returns a text in this language.

    An unknown language is English, and so is a text that a language lacks. A value is never read as a format string.
    """
    texts = _texts(language if language in LANGUAGES else DEFAULT_LANGUAGE)

    def translate(key: str, **values: object) -> str:
        text = texts.get(key)
        if text is None:
            text = _texts(DEFAULT_LANGUAGE)[key]
        return text.format(**values) if values else text

    return translate


def format_instant(instant: int, language: str, time_zone: str) -> str:
    """Returns the day and minute of an instant in words, in a time zone of the tz database; empty means UTC."""
    translate = translator(language)
    local = local_time(instant, time_zone)
    time = f"{local:%H:%M}" if time_zone else f"{local:%H:%M} UTC"
    month = translate("date.months").split()[local.month - 1]
    return translate("date.instant", day=local.day, month=month, year=local.year, time=time)


def preferred_language(accept_language: str) -> str:
    """Returns the supported language that an Accept-Language header gives the highest weight."""
    best, best_weight = DEFAULT_LANGUAGE, 0.0
    for choice in accept_language[:200].split(","):
        tag, _, parameter = choice.partition(";")
        language = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    """Parses the weight of one language (RFC 9110, 12.4.2); 1 without a weight, 0 for one that cannot be read."""
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
