"""`make up` prints where to sign in, and how the simulated OpenAI is made to fail."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infrastructure.local.__main__ import OPENAI_KEYS, _print_addresses
from tests.simulators.openai.faults import special_fault


def printed(capsys: pytest.CaptureFixture[str], *, simulate_openai: bool) -> str:
    settings = SimpleNamespace(
        simulate_whatsapp=True,
        simulate_openai=simulate_openai,
        warnings=list,
        data=Path("data"),
        guarded_by=None if simulate_openai else "http://admin",
        backup_to=None,
        base_url="http://admin",
        public_url=None,
    )
    operator = SimpleNamespace(email="olga@example.com", first_password="secret")
    stack = SimpleNamespace(
        settings=settings,
        operator=operator,
        admin_url="http://admin",
        outbox_url="http://outbox",
        phone_url="http://phone",
        openai_url="http://openai",
    )
    _print_addresses(cast(Any, stack))
    return capsys.readouterr().out


def test_the_simulated_openai_is_printed_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, simulate_openai=True)
    assert "http://openai" in text
    assert OPENAI_KEYS in text
    assert "signed in" not in text


def test_the_real_openai_has_no_keys_for_faults(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, simulate_openai=False)
    assert "openai" not in text
    assert "sk-" not in text
    assert "opens where you are signed in at http://admin" in text


def test_each_printed_key_plays_a_fault() -> None:
    keys = re.findall(r"sk-\w+", OPENAI_KEYS)
    assert len(keys) >= 3
    for key in keys:
        assert special_fault(f"{key}-refused" if key == "sk-fault" else key) is not None, key


def test_what_backups_lack_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, simulate_openai=True)
    assert "  ! There is no place for backups" in text
    assert "  ! There is no key for backups yet: `make backup-key`" in text
