"""What OpenAI would refuse in each reply is refused in the form, with the remedy; and nothing else is."""

from dataclasses import replace
from itertools import product

import pytest

from chalicelib.llm.request import build_request
from chalicelib.model import Assistant, ChatLine
from chalicelib.model.assistant import TRIED_EFFORTS, effort_of
from chalicelib.model.assistants.fitness import unfit_settings
from chalicelib.model.openai_servers import Server
from tests.simulators.openai.models import MODELS, Endpoint
from tests.simulators.openai.refusals import ApiError
from tests.simulators.openai.validation import validate

OPENAI = Server("global", "https://api.openai.com/v1")
LINES = (ChatLine("user", "Hello"),)
ANSWERING = [name for name, model in MODELS.items() if model.endpoint is Endpoint.RESPONSES]
PLAIN = Assistant(1, "gpt-6-luna", "Be kind.")


def refused(assistant: Assistant) -> str:
    """Returns the parameter that the simulated OpenAI objects to; empty if it takes all."""
    try:
        validate(build_request(assistant, OPENAI, LINES, contact="c", cache_key="k"), frozenset())
    except ApiError as error:
        return str(error.body["error"]["param"])  # type: ignore[index]
    return ""


@pytest.mark.parametrize("model", ANSWERING)
def test_what_the_form_takes_openai_takes_with_each_model(model: str) -> None:
    """But for an effort of the operator's choice that the model lacks: the check of the key replaces that."""
    settings = product((None, *TRIED_EFFORTS), (None, "low", "medium", "high"), (None, 0.7), (False, True))
    for effort, verbosity, temperature, search in settings:
        assistant = replace(
            PLAIN,
            model=model,
            reasoning_effort=effort,
            verbosity=verbosity,
            temperature=temperature,
            web_search=search,
        )
        if effort is not None and effort not in MODELS[model].efforts and MODELS[model].efforts:
            continue
        unfit = unfit_settings(assistant)
        parameter = refused(assistant)
        field = {"text.verbosity": "verbosity", "tools": "reasoning_effort"}.get(parameter, parameter)
        assert (field in unfit) if parameter else not unfit, (assistant, parameter, unfit)


@pytest.mark.parametrize(("model", "effort"), [("gpt-5", "low"), ("gpt-5-mini", "low"), ("gpt-6-luna", "none")])
def test_a_search_never_begins_with_an_effort_that_excludes_it(model: str, effort: str) -> None:
    assert effort_of(replace(PLAIN, model=model, web_search=True)) == effort
    assert effort_of(replace(PLAIN, model="gpt-9", found_effort="minimal", web_search=True)) == "low"


def test_of_another_servers_models_nothing_is_known() -> None:
    odd = replace(PLAIN, model="gpt-5", temperature=0.7, verbosity="low", reasoning_effort="minimal", web_search=True)
    assert unfit_settings(odd).keys() == {"temperature", "reasoning_effort"}
    assert unfit_settings(odd, compatible=True) == {}


@pytest.mark.parametrize(
    ("model", "effort", "words"),
    [
        ("gpt-6-luna", "low", "choose Not at all under How much it thinks"),
        ("gpt-6.2-sol", None, "always thinks"),
        ("o3", None, "always thinks"),
        ("gpt-9", "high", "choose Not at all"),
    ],
)
def test_a_temperature_beside_thinking_is_explained(model: str, effort: str | None, words: str) -> None:
    assistant = replace(PLAIN, model=model, reasoning_effort=effort, temperature=1.0)
    assert words in unfit_settings(assistant)["temperature"]
