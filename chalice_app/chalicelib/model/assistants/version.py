"""A version of an assistant: its settings, and who saved them when."""

from dataclasses import dataclass, replace

from chalicelib.model.assistant import Assistant


@dataclass(frozen=True, slots=True)
class AssistantVersion:
    """A stored version; one that a former release stored knows neither its time nor its author."""

    assistant: Assistant
    saved_at: int | None = None
    #: the operator's e-mail
    saved_by: str | None = None
    #: the number of the version that it repeats
    restored_from: int | None = None


def restore(version: Assistant, current: Assistant) -> Assistant:
    """Returns the settings of an old version as the next one; what was found out about its model since then is kept."""
    same = (version.model, version.server) == (current.model, current.server)
    return replace(version, found_effort=current.found_effort) if same else version


def equals(one: Assistant, other: Assistant) -> bool:
    """Returns whether two versions have the same settings, whatever was found out about their model."""
    return replace(one, version=0, found_effort=None) == replace(other, version=0, found_effort=None)
