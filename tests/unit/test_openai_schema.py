"""The check against OpenAI's description is strict, and excuses nothing but the listed deviations."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.openai_schema import requests
from tests.openai_schema.__main__ import main
from tests.openai_schema.description import Description, UnreadableDescription, read
from tests.openai_schema.deviations import DEVIATIONS, Deviation, Register
from tests.simulators.openai import MODELS

TEXT = {"type": "object", "properties": {"type": {"enum": ["text"]}, "text": {"type": "string"}}, "required": ["text"]}
CALL = {"type": "object", "properties": {"type": {"enum": ["call"]}, "name": {"type": "string"}}, "required": ["name"]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Text": TEXT,
    "Call": CALL,
    "Item": {"oneOf": [{"$ref": "#/components/schemas/Text"}, {"$ref": "#/components/schemas/Call"}]},
    "Shared": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    "Answer": {
        "allOf": [
            {"$ref": "#/components/schemas/Shared"},
            {
                "type": "object",
                "properties": {
                    "output": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                    "limit": {"anyOf": [{"type": "integer", "minimum": 16}, {"type": "null"}]},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                },
                "required": ["output"],
            },
        ]
    },
    "Loose": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Text"}]},
}


@pytest.fixture(scope="module")
def description() -> Description:
    return Description(SCHEMAS)


@pytest.mark.parametrize(
    "value",
    [
        {"id": "1", "output": []},
        {"id": "1", "output": [{"type": "text", "text": "Hi"}, {"type": "call", "name": "f"}]},
        {"id": "1", "output": [], "limit": None},
        {"id": "1", "output": [], "limit": 16, "metadata": {"any": "word"}},
    ],
)
def test_what_is_described_is_valid(description: Description, value: dict[str, Any]) -> None:
    assert description.errors("Answer", value) == []


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"id": "1", "output": [], "novelty": 1}, "novelty"),
        ({"output": []}, "id"),
        ({"id": "1"}, "output"),
        ({"id": "1", "output": [{"type": "text", "text": "Hi", "novelty": 1}]}, "novelty"),
        ({"id": "1", "output": [{"type": "call", "text": "Hi"}]}, "text"),
        ({"id": "1", "output": [{"type": "text"}]}, "text"),
        ({"id": "1", "output": [{"type": "novelty", "text": "Hi"}]}, "novelty"),
        ({"id": "1", "output": [], "limit": 8}, "8"),
        ({"id": "1", "output": [], "metadata": {"any": 7}}, "7"),
        ({"id": 1, "output": []}, "1"),
    ],
)
def test_an_unknown_a_missing_and_a_wrong_field_are_errors(
    description: Description, value: dict[str, Any], word: str
) -> None:
    errors = description.errors("Answer", value)
    assert errors
    assert any(word in error for error in errors)


def test_one_of_several_kinds_is_closed_too(description: Description) -> None:
    assert description.errors("Loose", "Hi") == []
    assert description.errors("Loose", {"text": "Hi"}) == []
    assert description.errors("Loose", {"text": "Hi", "novelty": 1})


# -- deviations --------------------------------------------------------------------------------------------------------


def test_only_a_listed_deviation_is_excused() -> None:
    known = Deviation("Response", "user", "null", "recorded", lambda value: value is None)
    register = Register((known,))
    assert register.never_met == [known]
    assert register.without("Response", {"user": None, "other": None}) == {"other": None}
    assert register.without("Response", {"user": "Ann"}) == {"user": "Ann"}
    assert register.without("Model", {"user": None}) == {"user": None}
    assert register.without("ResponseStreamEvent", {"response": {"user": None}}) == {"response": {}}
    assert (register.met[known], register.never_met) == (2, [])


def test_every_deviation_names_what_shows_it() -> None:
    assert all(each.what and each.source.startswith(("recorded: ", "https://")) for each in DEVIATIONS)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"components": {}}', '{"components": {"schemas": 7}}'])
def test_what_is_no_description_is_refused_with_a_sentence(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(content)
    assert main([str(path)]) == 2
    assert "is no OpenAPI document" in capsys.readouterr().err


def test_a_missing_description_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert main([""]) == 2
    assert "make openai-schema SCHEMA=" in capsys.readouterr().err


def test_a_description_can_be_yaml_and_must_be_openais(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text("components: {schemas: {Text: {type: object, properties: {text: {type: string}}}}}")
    assert read(path).errors("Text", {"text": "Hi"}) == []
    with pytest.raises(UnreadableDescription, match="has no schema Response"):
        read(path).errors("Response", {})
    broken = Description({"Text": {"properties": {"text": {"$ref": "#/components/schemas/Gone"}}}})
    with pytest.raises(UnreadableDescription, match="refers to what it does not have"):
        broken.errors("Text", {"text": "Hi"})


def test_what_we_send_is_kept_for_every_setting() -> None:
    client, model = requests.Client(), MODELS["gpt-6-luna"]
    assistants = list(requests.assistants(model))
    settings = [(each.reasoning_effort, each.verbosity, each.temperature) for each in assistants]
    assert len(set(settings)) == len(settings) == 8 * 4 * 3
    for position in range(3):  # each limit with its tools meets each effort, each verbosity and each temperature
        met = {(each[position], made.max_output_tokens) for each, made in zip(settings, assistants, strict=True)}
        assert len(met) == len({each[position] for each in settings}) * len(requests.EXTRAS)
    sent = list(client.sent_for(assistants[0]))
    assert [name for name, _ in sent] == ["check", *["reply"] * len(requests.HISTORIES)]
    assert all(body["model"] == "gpt-6-luna" for _, body in sent)
    assert "\\ud83d" not in json.dumps([body for _, body in sent])  # half surrogates, which JSON cannot carry
