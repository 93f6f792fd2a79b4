"""The assistant of a tenant: the settings of its replies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assistant:
    """A version of the settings with which the model answers; immutable."""

    version: int
    model: str
    instructions: str
    max_output_tokens: int = 1_000
    reasoning_effort: str | None = None
    verbosity: str | None = None
    temperature: float | None = None
    vector_store_ids: tuple[str, ...] = ()
    web_search: bool = False
    #: an ``asst_…`` or ``pmpt_…`` id that is kept as a label; no code depends on it
    legacy_reference: str | None = None
