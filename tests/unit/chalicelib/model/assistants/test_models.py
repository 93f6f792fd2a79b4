"""Which models are offered, what we say of each, and which one follows an old one."""

import pytest

from chalicelib.model.assistant import EFFORTS, least_effort
from chalicelib.model.assistants.models import (
    FINE_TUNED,
    MAX_MODELS,
    SUGGESTED,
    OfferedModel,
    choose_models,
    note_on,
    successor_of,
)
from tests.simulators.openai.models import MODELS, RETIRED, Endpoint


def names(*offered: str) -> list[str]:
    return [each.name for each in choose_models(map(OfferedModel, offered))]


OTHER_USES = (
    *("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "whisper-1", "gpt-transcribe", "gpt-4o-transcribe-diarize"),
    *("text-embedding-3-large", "omni-moderation-latest", "dall-e-3", "gpt-image-1", "gpt-audio-mini", "sora-2"),
    *("gpt-realtime-2.1-mini", "gpt-live-1.1", "gpt-4o-search-preview", "gpt-5-search-api", "babbage-002"),
    *("davinci-002", "gpt-3.5-turbo-instruct", "o3-deep-research", "computer-use-preview", "bge-reranker-v2"),
)
CHATS = (
    "gpt-6-luna",
    "gpt-4o",
    "o3",
    "gpt-5.4-mini",
    "ft:gpt-4.1-mini:shop::abc",
    "llama-3.3-70b",
    "openai/gpt-oss-20b",
)


@pytest.mark.parametrize("name", OTHER_USES)
def test_a_model_of_another_use_is_not_offered(name: str) -> None:
    assert not names(name)


@pytest.mark.parametrize("name", CHATS)
def test_a_model_that_answers_chats_is_offered_on_any_server(name: str) -> None:
    assert names(name) == [name]


def test_what_the_simulated_openai_lists_is_offered_if_it_answers_chats() -> None:
    assert {*names(*MODELS)} == {name for name, model in MODELS.items() if model.endpoint is Endpoint.RESPONSES}


def test_the_best_choice_for_a_line_is_first_and_what_we_do_not_know_last() -> None:
    offered = names("zephyr", "gpt-4o", "gpt-6.2-sol", "gpt-6.1-terra", "o3", "gpt-6-luna", "gpt-6.1-sol", "alpaca")
    assert offered == ["gpt-6-luna", "gpt-6.1-terra", "gpt-6.1-sol", "gpt-6.2-sol", "gpt-4o", "o3", "alpaca", "zephyr"]


def test_a_dated_version_is_offered_only_where_its_model_is_not() -> None:
    assert names("gpt-4o-2024-08-06", "gpt-4o", "gpt-5.2-2025-12-11") == ["gpt-5.2-2025-12-11", "gpt-4o"]
    assert names("gpt-6-luna", "gpt-6-luna") == ["gpt-6-luna"]


def test_a_server_that_lists_thousands_of_models_fills_no_record() -> None:
    assert len(names(*(f"model-{number}" for number in range(5_000)))) == MAX_MODELS


@pytest.mark.parametrize("name", SUGGESTED)
def test_a_suggested_model_lives_and_has_a_note(name: str) -> None:
    assert note_on(name)
    assert MODELS[name].shutdown_date is None and not successor_of(name)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.endpoint is Endpoint.RESPONSES])
def test_each_model_of_openai_has_a_note_and_an_end_is_never_missing_from_it(name: str) -> None:
    assert note_on(name)
    if MODELS[name].shutdown_date:
        assert "OpenAI ends it" in note_on(name) or "earlier generation" in note_on(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ft:gpt-4o-mini:shop::abc", FINE_TUNED),
        ("openai/gpt-6-luna", note_on("gpt-6-luna")),
        ("gpt-5-2025-08-07", "An earlier generation: gpt-6-luna is cheaper and newer."),
        ("gpt-5-mini", "OpenAI ends it on 11 December 2026."),
        ("gpt-5.1", "OpenAI ends it on 1 April 2027."),
        ("gpt-5.1-codex", "Made for programming, not for chats."),
        ("gpt-5.4-mini", "An earlier generation: gpt-6-luna is cheaper and newer."),
        ("gpt-7", ""),
        ("", ""),
    ],
)
def test_a_note(name: str, words: str) -> None:
    assert note_on(name) == words


@pytest.mark.parametrize("name", [*sorted(RETIRED), *(name for name, model in MODELS.items() if model.shutdown_date)])
def test_a_model_that_ended_or_ends_is_followed_by_one_that_lives(name: str) -> None:
    if not names(name):
        return  # it answers no chats
    follower = successor_of(name)
    assert follower in MODELS and MODELS[follower].shutdown_date is None, name
    assert least_effort(follower) in (None, *EFFORTS)


@pytest.mark.parametrize("name", ["gpt-6-luna", "gpt-6.1-terra", "gpt-6.2-astra", "gpt-7", "llama-3.3-70b", ""])
def test_a_model_that_is_not_old_is_followed_by_none(name: str) -> None:
    assert successor_of(name) == ""


@pytest.mark.parametrize(
    ("name", "follower"),
    [
        ("gpt-3.5-turbo-0125", "gpt-6-luna"),
        ("gpt-4-1106-preview", "gpt-6-luna"),
        ("gpt-4o-mini-2024-07-18", "gpt-6-luna"),
        ("gpt-4.1", "gpt-6-luna"),
        ("ft:gpt-4o-mini-2024-07-18:shop::abc", "gpt-6-luna"),
        ("gpt-5", "gpt-6.1-sol"),
        ("gpt-5-mini-2025-08-07", "gpt-6.1-terra"),
        ("o4-mini", "gpt-6.1-terra"),
        ("o3", "gpt-6.1-sol"),
    ],
)
def test_what_follows_an_old_model(name: str, follower: str) -> None:
    assert successor_of(name) == follower
