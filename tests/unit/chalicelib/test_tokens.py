"""Tokens: comparing and deriving secrets."""

from chalicelib.tokens import derive, secrets_match


def test_secrets_are_compared_as_a_whole_and_nothing_equals_nothing() -> None:
    assert secrets_match("abc", "abc")
    assert not secrets_match("abc", "abd")
    assert not secrets_match("abc", "ab")
    assert not secrets_match("", "")
    assert not secrets_match("\ud800", "x")  # half a surrogate is a strange guess, not an error


def test_a_derived_secret_depends_on_secret_and_purpose() -> None:
    assert derive("a", "form") == derive("a", "form")
    assert len({derive("a", "form"), derive("b", "form"), derive("a", "link")}) == 3
