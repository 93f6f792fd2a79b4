"""The settings file of the service: what was written is read again, and a person's lines stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.local.service.settings_file import HEADING, NAMES, SECRETS, change_file, parse_file
from infrastructure.local.settings import CannotStart, parse

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp", "Zs"]) | st.just(" "))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=", ""),
        ("A=b", "b"),
        ("  A=b  ", "b"),
        ("A= b c ", "b c"),
        ("A=https://line.example.com/?a=1&b=2#c", "https://line.example.com/?a=1&b=2#c"),
        ('A="b c"', "b c"),
        ("A='b \"c'", 'b "c'),
        (r'A="a \"b\" \\ \$5 \`c"', 'a "b" \\ $5 `c'),
        (r'A="\n"', r"\n"),
        ('A=""', ""),
    ],
)
def test_a_line_is_read_as_systemd_reads_it(line: str, value: str) -> None:
    assert parse_file(f"# first\n\n; second\n{line}\n") == {"A": value}


@pytest.mark.parametrize(
    "line", ["A", "=b", "A b=c", "1A=b", "export A=b", "A=b \\", 'A="b', "A=b'", 'A="a"b"', r"A=b\c"]
)
def test_a_line_that_cannot_be_meant_is_named(line: str) -> None:
    with pytest.raises(CannotStart, match=r"^Line 2 of the settings "):
        parse_file(f"# comment\n{line}\n")


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), PRINTABLE, max_size=4))
def test_what_was_written_is_read_again(settings: dict[str, str]) -> None:
    assert parse_file(change_file("", settings)) == settings


def test_a_change_keeps_what_a_person_wrote() -> None:
    text = "# ours\nBASE_URL=https://a.example\n\nPORTS=5000 \n# PORTS=6000\nBASE_URL=https://b.example\n"
    changed = change_file(text, {"BASE_URL": "https://c.example", "WHATSAPP": "real"})
    assert changed == '# ours\nBASE_URL="https://c.example"\n\nPORTS=5000 \n# PORTS=6000\nWHATSAPP="real"\n'
    assert change_file(changed, {}) == changed


def test_a_new_file_says_where_secrets_are() -> None:
    assert change_file("", {}) == HEADING
    assert "credentials/" in HEADING


@pytest.mark.parametrize("value", ["a\nB=c", "a\rb", "a\x00b", "a\u2028b"])
def test_a_value_never_becomes_a_second_setting(value: str) -> None:
    with pytest.raises(CannotStart, match="A has a line break or a control character"):
        change_file("", {"A": value})


class Asked(dict[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.names.add(name)
        return default


def test_the_service_knows_every_setting_of_make_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    monkeypatch.setattr("infrastructure.local.settings.with_credentials", lambda environment: environment)
    parse([], asked)
    assert asked.names - {"DATA", "GENERATION"} <= {*NAMES, *SECRETS}
    assert {"WHATSAPP", "BASE_URL", "SMTP_URL"} <= asked.names
