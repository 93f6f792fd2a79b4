"""OpenAI's own SDK as a client of the simulator, with its strict validation."""

from openai import AsyncOpenAI

from tests.simulators.openai import OpenAISimulator

KEY = "sk-proj-anna-0000aNNa"
MODEL = "gpt-6-luna"


def client_for(simulator: OpenAISimulator, key: str = KEY, timeout: float = 10) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=key,
        base_url=simulator.base_url,
        max_retries=0,
        timeout=timeout,
        organization="",
        project="",
        _strict_response_validation=True,
    )
