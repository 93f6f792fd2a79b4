"""The servers that may answer: OpenAI's regions and the operator's list; nothing else has a name."""

import pytest

from chalicelib.model.openai_servers import REGIONS, Server, find_server, parse_servers, server_labels, unfit_servers

OTHER = "https://llm.example.com/v1"


@pytest.mark.parametrize(
    ("name", "openai", "address"),
    [
        (None, REGIONS["global"], "https://api.openai.com/v1"),
        ("eu", REGIONS["global"], "https://eu.api.openai.com/v1"),
        ("global", REGIONS["eu"], "https://eu.api.openai.com/v1"),
        ("us", REGIONS["eu"], "https://us.api.openai.com/v1"),
        ("us", "http://127.0.0.1:4704/v1", "http://127.0.0.1:4704/v1"),
        (OTHER, REGIONS["global"], OTHER),
    ],
)
def test_a_name_leads_to_one_address(name: str | None, openai: str, address: str) -> None:
    found = find_server(name, (OTHER,), openai)
    assert found is not None and found.base_url == address


@pytest.mark.parametrize("name", ["https://evil.example/v1", "EU", "https://llm.example.com/v1/../x", "jp"])
def test_a_name_that_is_not_listed_leads_nowhere(name: str) -> None:
    assert find_server(name, (OTHER,)) is None


def test_only_openais_own_hosts_count_as_openai() -> None:
    assert not Server("https://in.api.openai.com/v1", "https://in.api.openai.com/v1").compatible
    for address in ("https://api.openai.com.evil.example/v1", "https://notapi.openai.com/v1", OTHER):
        assert Server(address, address).compatible


def test_a_list_is_read_with_spaces_or_commas_and_once_each() -> None:
    assert parse_servers(f" {OTHER}/, https://b.example/v1\n{OTHER}") == (OTHER, "https://b.example/v1")
    assert parse_servers("") == ()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (OTHER, None),
        ("https://llm.example.com/v1?key=1", "query"),
        ("http://llm.example.com/v1", "https"),
        ("https://10.0.0.1/v1", "private"),
        ("https://169.254.169.254/latest", "private"),
        ("https://user:secret@llm.example.com/v1", "address"),
        ("https://llm.internal/v1", "private"),
    ],
)
def test_a_server_on_the_internet_has_a_public_address(address: str, reason: str | None) -> None:
    found = unfit_servers(f"https://fine.example/v1 {address}")
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_a_form_offers_the_regions_and_then_the_list() -> None:
    assert list(server_labels((OTHER,))) == ["global", "eu", "us", OTHER]
