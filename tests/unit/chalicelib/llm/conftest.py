"""The client in front of the simulator of OpenAI, one server for each module."""

from collections.abc import Iterator

import pytest

from chalicelib.llm.client import LlmClient
from tests.simulators.openai import OpenAISimulator
from tests.unit.support.openai_calls import KEY


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAISimulator]:
    with OpenAISimulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(server: OpenAISimulator) -> OpenAISimulator:
    server.clear()
    server.requests.clear()
    server.persona(KEY, "Anna")
    return server


@pytest.fixture(scope="module")
def shared_llm(server: OpenAISimulator) -> Iterator[LlmClient]:
    llm = LlmClient(server.base_url)
    yield llm
    llm.close()


@pytest.fixture
def llm(shared_llm: LlmClient, simulator: OpenAISimulator) -> LlmClient:
    return shared_llm
