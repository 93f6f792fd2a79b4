"""A domain is stored as OpenAI takes it; what is none gets a sentence that says what to enter."""

import pytest

from chalicelib.model.assistants.web_domains import MAX_DOMAINS, NoDomain, parse_domains


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("", ()),
        (" \n ", ()),
        ("bakery.example", ("bakery.example",)),
        ("Bakery.EXAMPLE.", ("bakery.example",)),
        ("https://bakery.example/", ("bakery.example",)),
        ("http://www.bakery.example", ("bakery.example",)),
        ("*.bakery.example", ("bakery.example",)),
        ("www.example", ("www.example",)),
        ("shop.bakery.example", ("shop.bakery.example",)),
        ("bäckerei.example", ("xn--bckerei-5wa.example",)),
        ("straße.example", ("xn--strae-oqa.example",)),
        ("xn--bckerei-5wa.example", ("xn--bckerei-5wa.example",)),
        ("a.example, b.example;c.example\nd.example\te.example", tuple(f"{letter}.example" for letter in "abcde")),
        ("a.example www.a.example A.example", ("a.example",)),
        ("1und1.example", ("1und1.example",)),
    ],
)
def test_a_list_of_domains(text: str, domains: tuple[str, ...]) -> None:
    assert parse_domains(text) == domains


@pytest.mark.parametrize(
    "entry",
    [
        *("bakery", "localhost", "com", ".", "-bakery.example", "bakery-.example", "bak_ery.example", "ba..example"),
        *("192.168.0.1", "[::1]", "http://[::1", "127.1", "bakery.example:8443", "owner@bakery.example"),
        *("ftp://bakery.example", "javascript://bakery.example", "user:word@bakery.example", "https://", "*"),
        *("bakery.example:port", "ba\u0000kery.example", "\U0001f950", f"{'a' * 64}.example", "a." * 127 + "example"),
    ],
)
def test_what_is_no_domain_is_named(entry: str) -> None:
    with pytest.raises(NoDomain, match=r"is not a domain\. Enter those of the client's own site"):
        parse_domains(f"bakery.example {entry}")


@pytest.mark.parametrize("entry", ["https://bakery.example/menu", "bakery.example/?q=1", "bakery.example#top"])
def test_a_path_is_refused_and_not_dropped(entry: str) -> None:
    with pytest.raises(NoDomain, match=r"whole domains only: enter bakery\.example instead of"):
        parse_domains(entry)


def test_a_list_that_openai_would_refuse_is_refused_here() -> None:
    most = " ".join(f"shop{number}.example" for number in range(MAX_DOMAINS))
    assert len(parse_domains(most)) == MAX_DOMAINS
    with pytest.raises(NoDomain, match="at most 100 domains; these are 101"):
        parse_domains(f"{most} one-more.example")
