"""Settings of an assistant that do not fit together: OpenAI would refuse each of its replies."""

import re
from typing import Final

from chalicelib.model.assistant import EFFORT_WITHOUT_SEARCH, NO_EFFORT, PREFIX, Assistant, effort_of, least_effort

#: The efforts with which a model takes a temperature: it has no such setting, or does not think.
SAMPLED: Final = (NO_EFFORT, "none")
#: The verbosity of a model that came before GPT-5: it takes no other.
PLAIN_VERBOSITY: Final = "medium"
#: The models of before GPT-5 that think.
PLAIN_THINKER: Final = re.compile(r"o\d")


def unfit_settings(assistant: Assistant, *, compatible: bool = False) -> dict[str, str]:
    """Returns a sentence for each setting that the others exclude, by the setting's name.

    Only what is known of a model counts: what OpenAI refuses of another one is found when the assistant is checked.

    Args:
        compatible: the server is not OpenAI's, so that nothing is known of its models.
    """
    if compatible:
        return {}
    found: dict[str, str] = {}
    effort, least = effort_of(assistant), least_effort(assistant.model)
    if assistant.temperature is not None and effort not in SAMPLED:
        thinks = f"{assistant.model} takes a temperature only when it does not think"
        always = least not in (None, *SAMPLED)
        found["temperature"] = (
            f"{assistant.model} always thinks, and takes no temperature then: leave this empty."
            if always
            else f"{thinks}: choose Not at all under How much it thinks, or leave this empty."
        )
    if assistant.web_search and effort == EFFORT_WITHOUT_SEARCH:
        found["reasoning_effort"] = "OpenAI does not search the web with minimal thinking: choose Low, or more."
    plain = least == NO_EFFORT or PLAIN_THINKER.match(PREFIX.sub("", assistant.model))
    if assistant.verbosity not in (None, PLAIN_VERBOSITY) and plain:
        found["verbosity"] = f"{assistant.model} has no such setting: choose As the model does."
    return found
