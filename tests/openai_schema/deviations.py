"""Where OpenAI's wire differs from OpenAI's description: each difference with the recording that shows it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_DOTNET = "recorded: openai/openai-dotnet, tests/SessionRecords/ResponsesTests, 2026-06 (b3b4bbbc)"
_PROBES = "recorded: probes of the live Responses API in a public repository, gpt-4o-mini and gpt-5-nano, 2026-09"


@dataclass(frozen=True)
class Deviation:
    """A field that is on the wire and not in the description."""

    #: the schema of the object that has the field
    schema: str
    field: str
    #: what of it differs
    what: str
    source: str
    #: whether a value of the field is the deviation; a field that the description lacks always is
    applies: Callable[[Any], bool] = lambda value: True


def _is_null(value: Any) -> bool:
    return value is None


DEVIATIONS = (
    Deviation("Response", "billing", "not described", _DOTNET),
    Deviation("Response", "frequency_penalty", "not described", _DOTNET),
    Deviation("Response", "presence_penalty", "not described", _DOTNET),
    Deviation("Response", "store", "not described", _DOTNET),
    Deviation("Response", "tool_usage", "not described", _DOTNET),
    Deviation("Response", "user", "null", _DOTNET, _is_null),
    Deviation("Response", "usage", "null in a response that has just started", _PROBES, _is_null),
    Deviation("ResponseStreamEvent", "obfuscation", "not described", _DOTNET),
    Deviation("VectorStoreObject", "expires_after", "null", "recorded: openai/openai-dotnet, VectorStores", _is_null),
    Deviation(
        "ErrorResponse",
        "status",
        "beside the error of a wrong regional host",
        "https://github.com/earendil-works/pi/issues/956",
    ),
)


class Register:
    """The deviations, and how often each was met."""

    def __init__(self, deviations: tuple[Deviation, ...] = DEVIATIONS) -> None:
        self._deviations = deviations
        self.met: Counter[Deviation] = Counter()

    @property
    def never_met(self) -> list[Deviation]:
        """The deviations that nothing needs any more."""
        return [each for each in self._deviations if not self.met[each]]

    def without(self, schema: str, value: Any) -> Any:
        """Returns the value, described by that schema, without the fields that are known to deviate."""
        if not isinstance(value, dict):
            return value
        left = dict(value)
        for each in self._deviations:
            if each.schema == schema and each.field in left and each.applies(left[each.field]):
                del left[each.field]
                self.met[each] += 1
        if schema == "ResponseStreamEvent" and "response" in left:
            left["response"] = self.without("Response", left["response"])
        if schema == "ListVectorStoresResponse":
            left["data"] = [self.without("VectorStoreObject", store) for store in left["data"]]
        return left
