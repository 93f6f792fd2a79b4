"""The models OpenAI serves in November 2026, with the day each one ends, and those it has retired."""

import re
from collections.abc import Mapping

#: model → the day it will be shut down, or None
MODELS: Mapping[str, str | None] = {
    "gpt-6-luna": None,
    "gpt-6-astra": None,
    "gpt-5.2": None,
    "gpt-5.1": "2027-04-01",
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "o3": "2026-12-11",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-transcribe": None,
    "gpt-4o-transcribe": "2027-02-26",
    "gpt-4o-mini-transcribe": "2027-02-26",
    "gpt-4o-transcribe-diarize": "2027-02-26",
    "whisper-1": "2027-02-26",
    "omni-moderation-latest": None,
}

#: shut down on 2026-10-23: unknown to every call
RETIRED = frozenset(
    {
        "gpt-3.5-turbo",
        "gpt-4",
        "gpt-4-turbo",
        "gpt-4.1-nano",
        "gpt-4o-2024-05-13",
        "o1",
        "o3-mini",
        "o4-mini",
    }
)

#: these think before they answer, unless told not to
REASONING_MODELS = re.compile(r"^(gpt-[56]|o3)")

#: this one takes neither sampling parameters nor effort `none`
STRICT_MODELS = re.compile(r"^gpt-6-astra")

#: what each effort spends on thinking; `none` and `minimal` spend nothing
REASONING_TOKENS: Mapping[str, int] = {"low": 32, "medium": 128, "high": 512, "xhigh": 1024, "max": 2048}

#: a dated snapshot, such as gpt-5.2-2025-12-11, lives as long as its model
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def known(model: str) -> str | None:
    """The catalogue's name of `model`, or None if OpenAI would not know it."""
    if model in RETIRED:
        return None
    name = model if model in MODELS else SNAPSHOT.sub("", model)
    return name if name in MODELS else None


def model_body(model: str) -> dict[str, object]:
    """The `model` object of OpenAI's API for a known model."""
    return {
        "id": model,
        "object": "model",
        "created": 1_780_000_000,
        "owned_by": "system",
        "shutdown_date": MODELS[known(model) or model],
    }
