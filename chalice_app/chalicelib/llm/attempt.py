"""An attempt to get an answer: the request, and what is changed in it before a person must change something."""

from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.llm.outcomes import Failure, Remedy
from chalicelib.llm.request import SHORTENED_TO, input_of, reasoning_of, shorten
from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import replacement_effort
from chalicelib.model.openai_servers import Server

#: A request that is repeated gets this multiple of output tokens when thinking used those of the first.
RETRY_TOKENS_FACTOR: Final = 4
#: … but at most so many, unless the assistant has more: no model that OpenAI serves refuses this limit.
MOST_RETRY_TOKENS: Final = 16_000


@dataclass(slots=True)
class Attempt:
    """The request of one reply or check; it is sent again as long as ``remedy`` finds something to change."""

    assistant: Assistant
    server: Server
    lines: tuple[ChatLine, ...]
    body: dict[str, Any]
    #: an effort that the operator chose is changed only by a check, which stores it
    changes_effort: bool
    shortened: int = 0
    tried_efforts: list[str] = field(default_factory=list)
    #: the effort of the body, if it is not the assistant's own
    effort: str | None = None

    def remedy(self, failure: Failure) -> bool:
        """Changes the request so that it may be taken; False if nothing is left to change."""
        match failure.remedy:
            case Remedy.SHORTER_HISTORY:
                return self._shorten()
            case Remedy.OTHER_EFFORT if self.changes_effort and "reasoning" in self.body:
                self._change_effort(failure)
                return True
        return False

    def give_room(self) -> None:
        """Raises the limit of output tokens."""
        limit = self.body.get("max_output_tokens")
        if limit:
            self.body["max_output_tokens"] = max(limit, min(RETRY_TOKENS_FACTOR * limit, MOST_RETRY_TOKENS))

    def _shorten(self) -> bool:
        for share in SHORTENED_TO[self.shortened :]:
            self.shortened += 1
            shorter = shorten(self.lines, share)
            if input_of(shorter) != self.body["input"]:
                self.body["input"] = input_of(shorter)
                return True
        return False

    def _change_effort(self, failure: Failure) -> None:
        refused = self.body.pop("reasoning")["effort"]
        self.tried_efforts.append(refused)
        supported = tuple(each for each in failure.efforts if each != refused)
        self.effort = "" if failure.no_effort else replacement_effort(refused, supported, self.tried_efforts)
        self.body |= reasoning_of(self.effort)
