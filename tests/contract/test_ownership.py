"""Commands that root types about the data of a service: afterwards every file is still the service's account's."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.doctor.__main__ import main as doctor
from infrastructure.local.__main__ import main
from infrastructure.local.backup.status import read_status

pytestmark = [
    pytest.mark.stack,
    pytest.mark.dynoxide,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account"),
]
ACCOUNT = "nobody"
TENANT = {"pk": {"S": "TENANT#garage"}, "sk": {"S": "TENANT"}}
#: What `make` runs on, or has rehearsals of its own (`make rehearse-service`).
OF_THE_SERVICE = {"up", "service", "service-remove", "caddyfile", "upgrade"}


class Machine:
    """The data, the settings and the place for backups of a service, and a directory of root's."""

    def __init__(self, directory: Path) -> None:
        for folder in (directory, *directory.parents[:2]):
            folder.chmod(0o755)
        self.data, self.place, self.own = (directory / name for name in ("data", "place", "of-root"))
        for folder in (self.data, self.place, self.own):
            folder.mkdir(mode=0o700)
        for folder in (self.data, self.place):
            shutil.chown(folder, ACCOUNT)
        unit = directory / "etc" / "systemd" / "system" / "answerline.service"
        unit.parent.mkdir(parents=True)
        unit.write_text(f'[Service]\nUser={ACCOUNT}\nReadWritePaths="{self.data}"\n')
        settings = directory / "etc" / "answerline" / "answerline.env"
        settings.parent.mkdir(mode=0o700)
        settings.write_text(f'BACKUP_TO="{self.place}"\n')
        self.etc = directory / "etc"

    def strangers(self) -> list[Path]:
        """Files of another account, in the data, at the place, and in what a restore moved aside."""
        tops = [self.place, *self.data.parent.glob("data*")]
        return [path for top in tops for path in (top, *top.rglob("*")) if path.owner() != ACCOUNT]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("ownership"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVICE_ETC", str(machine.etc))
        for name in ("DATA", "BACKUP_TO"):
            patch.delenv(name, raising=False)
        yield machine


def test_each_command_that_root_types_leaves_the_data_to_their_account(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    items, key = machine.own / "items.jsonl", machine.own / "key"
    items.write_text(json.dumps({"Item": TENANT}) + "\n")
    said: dict[str, str] = {}

    def type_command(name: str, *arguments: str, command: Callable[[list[str]], int] = main, code: int = 0) -> None:
        assert command([name, *arguments] if command is main else []) == code
        said[name] = capsys.readouterr().out
        assert machine.strangers() == [], name

    type_command("backup-key")
    key.write_text(said["backup-key"])
    type_command("import", str(items))
    type_command("export", str(machine.own / "out.jsonl"))
    type_command("backup", str(machine.own / "mine.age"))
    type_command("backup")
    assert f"{machine.place}/answerline-" in said["backup"], "the place is the service's"
    for path in (machine.data / "backup" / "status.json", *machine.data.glob("ministack/state/*.json")):
        shutil.chown(path, "root")  # as a former release left them
    type_command("forget", "garage")
    assert "The ledger beside the backups says so" in said["forget"]
    type_command("restore", str(machine.place), str(key))
    assert "What was there before is in" in said["restore"]
    type_command("doctor", command=doctor, code=1)
    assert "no place" not in said["doctor"] and "no key" not in said["doctor"]

    assert {path.owner() for path in machine.own.iterdir()} == {"root"}, "what root names is root's"
    assert read_status(machine.data).failures == 0
    assert set(said) == _writers(), "a new target that writes to DATA belongs into this test"


def _writers() -> set[str]:
    """The targets of the Makefile that are about the data of this machine."""
    targets = re.findall(r"^([a-z-]+):.*## .*", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    recipes = (REPOSITORY / "Makefile").read_text().split("\n\n")
    about = {
        target
        for target in targets
        for recipe in recipes
        if f"\n{target}:" in f"\n{recipe}" and re.search(r"infrastructure\.(local|doctor)\b|\$\(SERVICE\)", recipe)
    }
    return about - OF_THE_SERVICE
