"""The models that OpenAI serves in November 2026, with what each allows, and those that it has retired.

Sources: OpenAI's model pages, its page of deprecations, and live probes of the Responses API in public repositories:
pydantic-ai's `test_openai_reasoning_capabilities`, big-AGI#947 and #1159, litellm#39631 and #42523, inspect_ai#5254.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

#: Every effort of any model, as OpenAI lists them.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
VERBOSITIES = ("low", "medium", "high")
NO_MORE_THAN_MEDIUM = ("medium",)

#: What an effort spends on thinking: at least, and for each token of the question. Recorded: gpt-5 at medium spent 832
#: of 921 output tokens on a plain question; `none` and `minimal` spend nothing.
THINKING: Mapping[str, tuple[int, int]] = {
    "none": (0, 0),
    "minimal": (0, 0),
    "low": (64, 1),
    "medium": (800, 8),
    "high": (2_400, 20),
    "xhigh": (6_000, 40),
    "max": (12_000, 80),
}


class Endpoint(Enum):
    """Where a model answers."""

    #: `POST /v1/responses`
    RESPONSES = "responses"
    #: `POST /v1/audio/transcriptions`
    TRANSCRIPTIONS = "transcriptions"
    #: an endpoint that the simulator does not have
    ELSEWHERE = "elsewhere"


class Sampling(Enum):
    """When a model takes `temperature` and `top_p`."""

    #: always: it does not reason
    ALWAYS = "always"
    #: with effort `none` only, be it sent or the default
    WITHOUT_REASONING = "without reasoning"
    #: never
    NEVER = "never"


@dataclass(frozen=True)
class Model:
    """One model and what it allows."""

    name: str
    endpoint: Endpoint = Endpoint.RESPONSES
    #: empty for a model that does not reason and refuses `reasoning.effort`
    efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    verbosities: tuple[str, ...] = NO_MORE_THAN_MEDIUM
    sampling: Sampling = Sampling.ALWAYS
    #: whether its messages carry a `phase`
    phased: bool = False
    context_tokens: int = 128_000
    max_output_tokens: int = 16_384
    #: the day of its end, or None
    shutdown_date: str | None = None

    def thinking_tokens(self, effort: str | None, question_tokens: int) -> int:
        """What the model spends on thinking about a question before it writes."""
        least, each = THINKING[effort or self.default_effort or "none"]
        return least + each * question_tokens if least else 0


def _gpt6(name: str, *efforts: str) -> Model:
    sampling = Sampling.WITHOUT_REASONING if "none" in efforts else Sampling.NEVER
    return Model(name, Endpoint.RESPONSES, efforts, "medium", VERBOSITIES, sampling, True, 1_050_000, 128_000)


def _gpt5(
    name: str, efforts: tuple[str, ...], default: str, context_tokens: int = 400_000, until: str | None = None
) -> Model:
    sampling = Sampling.WITHOUT_REASONING if "none" in efforts else Sampling.NEVER
    return Model(
        name, Endpoint.RESPONSES, efforts, default, VERBOSITIES, sampling, False, context_tokens, 128_000, until
    )


def _plain(name: str, context_tokens: int, max_output_tokens: int) -> Model:
    return Model(name, context_tokens=context_tokens, max_output_tokens=max_output_tokens, shutdown_date="2027-01-14")


def _o3(name: str, until: str | None = None) -> Model:
    return Model(
        name,
        efforts=("low", "medium", "high"),
        default_effort="medium",
        sampling=Sampling.NEVER,
        context_tokens=200_000,
        max_output_tokens=100_000,
        shutdown_date=until,
    )


_WITH_NONE = ("none", "low", "medium", "high", "xhigh", "max")
_FROM_LOW = ("low", "medium", "high", "xhigh", "max")
_UP_TO_XHIGH = ("none", "low", "medium", "high", "xhigh")
_WITH_MINIMAL = ("minimal", "low", "medium", "high")
_PRO = ("medium", "high", "xhigh")
_LONG = 1_050_000

#: Every living model by its name, but those of access programs (cyber, rosalind, law): an ordinary key cannot see them.
MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _gpt6("gpt-6-luna", *_WITH_NONE),
        _gpt6("gpt-6-sol", *_WITH_NONE),
        _gpt6("gpt-6-astra", *_FROM_LOW),
        _gpt6("gpt-6.1-sol", *_FROM_LOW),
        _gpt6("gpt-6.1-terra", *_WITH_NONE),
        _gpt6("gpt-6.2-sol", *_FROM_LOW),
        _gpt6("gpt-6.2-astra", *_FROM_LOW),
        _gpt5("gpt-5.6-sol", _WITH_NONE, "medium", _LONG),
        _gpt5("gpt-5.6-terra", _WITH_NONE, "medium", _LONG),
        _gpt5("gpt-5.6-luna", _WITH_NONE, "medium", _LONG),
        _gpt5("gpt-5.5", _UP_TO_XHIGH, "medium", _LONG),
        _gpt5("gpt-5.5-pro", _PRO, "medium", _LONG),
        _gpt5("gpt-5.4", _UP_TO_XHIGH, "none", _LONG),
        _gpt5("gpt-5.4-pro", _PRO, "medium", _LONG),
        _gpt5("gpt-5.4-mini", _UP_TO_XHIGH, "none"),
        _gpt5("gpt-5.4-nano", _UP_TO_XHIGH, "none", until="2027-04-01"),
        _gpt5("gpt-5.3-codex", _UP_TO_XHIGH, "none"),
        _gpt5("gpt-5.2", _UP_TO_XHIGH, "none"),
        _gpt5("gpt-5.2-pro", _PRO, "medium"),
        _gpt5("gpt-5.1", ("none", "low", "medium", "high"), "none", until="2027-04-01"),
        _gpt5("gpt-5", _WITH_MINIMAL, "medium", until="2026-12-11"),
        _gpt5("gpt-5-mini", _WITH_MINIMAL, "medium", until="2026-12-11"),
        _gpt5("gpt-5-nano", _WITH_MINIMAL, "medium", until="2026-12-11"),
        _gpt5("gpt-5-pro", ("high",), "high"),
        _plain("gpt-4.1", 1_047_576, 32_768),
        _plain("gpt-4.1-mini", 1_047_576, 32_768),
        _plain("gpt-4o", 128_000, 16_384),
        _plain("gpt-4o-mini", 128_000, 16_384),
        _o3("o3", until="2026-12-11"),
        _o3("o3-pro"),
        Model("gpt-transcribe", Endpoint.TRANSCRIPTIONS),
        Model("gpt-4o-transcribe", Endpoint.TRANSCRIPTIONS, shutdown_date="2027-02-26"),
        Model("gpt-4o-mini-transcribe", Endpoint.TRANSCRIPTIONS, shutdown_date="2027-02-26"),
        Model("gpt-4o-transcribe-diarize", Endpoint.TRANSCRIPTIONS, shutdown_date="2027-02-26"),
        Model("whisper-1", Endpoint.TRANSCRIPTIONS, shutdown_date="2027-02-26"),
        Model("omni-moderation-latest", Endpoint.ELSEWHERE),
        Model("gpt-audio-mini", Endpoint.ELSEWHERE, shutdown_date="2027-01-20"),
        Model("gpt-image-1", Endpoint.ELSEWHERE),
    )
}

#: shut down: unknown to every call
RETIRED = frozenset(
    {
        *("gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4.1-nano", "gpt-4o-2024-05-13", "o1", "o1-mini", "o1-preview"),
        *("o3-mini", "o4-mini", "chatgpt-4o-latest", "codex-mini-latest", "gpt-5-chat-latest", "gpt-5.1-chat-latest"),
        *("gpt-5.2-chat-latest", "gpt-5.3-chat-latest", "gpt-5-codex", "gpt-5.1-codex", "gpt-5.1-codex-max"),
        *("gpt-5.2-codex", "gpt-4o-search-preview", "gpt-4o-mini-search-preview", "gpt-4o-audio-preview"),
    }
)

#: a dated snapshot, such as gpt-5.2-2025-12-11, lives as long as its model
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def find(name: str) -> Model | None:
    """The living model that `name` means, be it an alias or a dated snapshot; None for an unknown or retired one."""
    if name in RETIRED:
        return None
    return MODELS.get(name) or MODELS.get(SNAPSHOT.sub("", name))


def was_retired(name: str) -> bool:
    """Whether OpenAI once served the model and no longer does."""
    return name in RETIRED or SNAPSHOT.sub("", name) in RETIRED


def model_body(name: str) -> dict[str, object]:
    """The `model` object of OpenAI's API for a living model."""
    model = find(name)
    assert model is not None, name
    return {
        "id": name,
        "object": "model",
        "created": 1_780_000_000,
        "owned_by": "system",
        "shutdown_date": model.shutdown_date,
    }
