"""The commands that people read: those of `make up`, or those of the service whose data it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.installation import SetupAdvice
from infrastructure.local.backup.key import NO_KEY
from infrastructure.local.backup.nightly import NO_PLACE
from infrastructure.local.service.advice import setup_advice
from infrastructure.local.service.installed import Commands, Places, commands_of
from infrastructure.local.settings import Settings

SERVICE = Commands(service=True)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of an installed service."""
    places = Places(tmp_path / "etc")
    places.unit.parent.mkdir(parents=True)
    places.unit.write_text(f'User=answerline\nReadWritePaths="{tmp_path}/data"\n')
    monkeypatch.setenv("SERVICE_ETC", str(places.etc))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("sentence", "of_the_service"),
    [
        (Commands().start, "`sudo systemctl start answerline`"),
        (Commands().again, "`sudo systemctl restart answerline`"),
        (Commands().stop, "stop it with `sudo systemctl stop answerline`"),
    ],
)
def test_a_service_is_started_and_stopped_by_systemd(sentence: str, of_the_service: str) -> None:
    assert "systemctl" not in sentence
    assert of_the_service in (SERVICE.start, SERVICE.again, SERVICE.stop)


def test_a_sentence_names_the_command_of_its_stack() -> None:
    assert SERVICE.said(NO_KEY) == NO_KEY.replace("`make backup-key`", "`sudo make backup-key`") != NO_KEY
    assert "`sudo make service BACKUP_TO=…`" in SERVICE.said(NO_PLACE)
    assert Commands().said(NO_PLACE) == NO_PLACE
    assert (SERVICE.set("X=1"), Commands().set("X=1")) == ("`sudo make service X=1`", "`make up X=1`")
    assert (SERVICE.make("backup"), Commands().make("backup")) == ("`sudo make backup`", "`make backup`")


def test_the_commands_are_the_services_for_its_own_data_alone(data: Path) -> None:
    assert commands_of(data) == SERVICE
    assert commands_of(data.with_name("other")) == Commands()
    assert commands_of(data, {"SERVICE_ETC": str(data)}) == Commands()


@pytest.mark.parametrize(
    ("whatsapp", "openai", "stand_ins", "make_real"),
    [
        (True, True, "Simulated here: WhatsApp and OpenAI.", "WHATSAPP=real OPENAI=real"),
        (True, False, "Simulated here: WhatsApp.", "WHATSAPP=real"),
        (False, True, "Simulated here: OpenAI.", "OPENAI=real"),
        (False, False, "", ""),
    ],
)
def test_the_setup_is_advised_of_what_is_simulated(
    data: Path, whatsapp: bool, openai: bool, stand_ins: str, make_real: str
) -> None:
    settings = Settings(data=data, simulate_whatsapp=whatsapp, simulate_openai=openai)
    for each, command in ((settings, "sudo make service"), (replace(settings, data=data.parent), "make up")):
        advice = SetupAdvice.parse(setup_advice(each))
        assert advice.stand_ins == stand_ins
        assert advice.make_real.endswith(f"`{command} {make_real}`" if make_real else "")
        assert f"`{command} BACKUP_TO=…`" in advice.steps["backup"]
        assert set(json.loads(setup_advice(each))["steps"]) == {"address", "mail", "backup"}


@pytest.mark.parametrize("smtp", [None, "smtps://mail.example:465"])
def test_the_setup_is_advised_of_where_mails_stop(data: Path, smtp: str | None) -> None:
    settings = Settings(data=data, smtp_url=smtp)
    address = f"http://localhost:{settings.ports.outbox}"
    assert SetupAdvice.parse(setup_advice(settings)).mailbox == ("" if smtp else address)
