"""Credentials: a setting may come from a file that systemd hands over, and its value is in no message."""

from pathlib import Path

import pytest

from infrastructure.local.credentials import MAX_BYTES, CredentialUnreadable, with_credentials
from infrastructure.local.settings import CannotStart, parse

SECRET = "smtps://answerline:s3cr%40t@mail.example.com:465"


def directory(tmp_path: Path, **files: str | bytes) -> dict[str, str]:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return {"CREDENTIALS_DIRECTORY": str(tmp_path)}


def test_without_a_directory_only_the_environment_counts() -> None:
    assert with_credentials({"SMTP_URL": SECRET}) == {"SMTP_URL": SECRET}


@pytest.mark.parametrize(
    ("content", "variable", "found"),
    [
        (SECRET, None, SECRET),
        (f"{SECRET}\n", None, SECRET),
        (f"  {SECRET}\r\n", None, SECRET),
        (SECRET, "smtp://other.example", "smtp://other.example"),
        (SECRET, "", SECRET),  # an empty variable is not given
        ("", None, None),
        ("\n", None, None),
        ("", "smtp://other.example", "smtp://other.example"),
    ],
)
def test_a_variable_has_precedence_over_its_file(
    tmp_path: Path, content: str, variable: str | None, found: str | None
) -> None:
    environment = directory(tmp_path, SMTP_URL=content)
    if variable is not None:
        environment["SMTP_URL"] = variable
    assert with_credentials(environment).get("SMTP_URL") == found


def test_every_setting_may_come_from_a_file_and_other_files_are_ignored(tmp_path: Path) -> None:
    environment = directory(tmp_path, SMTP_URL=SECRET, MAIL_FROM="line@agency.example", notes="x", lower_CASE="x")
    settings = parse([], environment)
    assert (settings.smtp_url, settings.mail_from) == (SECRET, "line@agency.example")
    assert not {"notes", "lower_CASE"} & set(with_credentials(environment))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"one\ntwo", b"a\x00b", b"x" * (MAX_BYTES + 1)])
def test_what_is_not_one_line_of_text_is_refused_without_its_value(tmp_path: Path, content: bytes) -> None:
    environment = directory(tmp_path, SMTP_URL=content)
    with pytest.raises(CredentialUnreadable, match=r"The credential SMTP_URL is not .*text: write it again"):
        with_credentials(environment)
    with pytest.raises(CannotStart, match="SMTP_URL"):
        parse([], environment)


def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"cannot be read \(No such file or directory\): run `make service` again"):
        parse([], {"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")})


def test_a_credential_that_is_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "SMTP_URL").mkdir()
    with pytest.raises(CredentialUnreadable, match="The credential SMTP_URL cannot be read"):
        with_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
