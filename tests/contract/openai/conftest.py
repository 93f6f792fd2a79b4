"""A simulator with one persona, and a client of it."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.contract.openai.sdk import KEY, client_for
from tests.simulators.openai import OpenAISimulator


@pytest.fixture
async def simulator() -> AsyncIterator[OpenAISimulator]:
    async with OpenAISimulator() as simulator:
        simulator.persona(KEY, "Anna")
        yield simulator


@pytest.fixture
async def client(simulator: OpenAISimulator) -> AsyncIterator[AsyncOpenAI]:
    async with client_for(simulator) as client:
        yield client
