"""A fault: one way in which the simulator fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Reach(Enum):
    """Which calls a fault spoils."""

    #: every call with the key
    EVERYTHING = "everything"
    #: only what OpenAI bills: responses and transcriptions
    BILLED = "billed"
    #: only `POST /v1/responses`
    RESPONSES = "responses"


class Wire(Enum):
    """Whose answer a fault plays."""

    #: OpenAI's own; described by its OpenAPI document
    OPENAI = "OpenAI"
    #: a proxy's, Cloudflare's, a compatible server's, or that of a broken connection
    OTHER = "other"


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    A fault with a `status` is an HTTP error in OpenAI's form. One without is a behaviour: of `answers.py` if its
    `wire` is OpenAI's, else of `transport.py`. `{key}`, `{model}` and `{region}` in the message are filled in.
    """

    name: str
    happens: str
    reach: Reach = Reach.EVERYTHING
    status: int | None = None
    message: str = ""
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: fields beside `error`
    beside: Mapping[str, object] = field(default_factory=dict)
    wire: Wire = Wire.OPENAI

    def reaches(self, path: str) -> bool:
        """Whether the fault, by its nature, spoils a call to `path`."""
        match self.reach:
            case Reach.EVERYTHING:
                return True
            case Reach.BILLED:
                return path in ("/v1/responses", "/v1/audio/transcriptions")
            case Reach.RESPONSES:
                return path == "/v1/responses"
