"""`make upgrade` of a service in a scratch clone, with a line on the simulated WhatsApp (`make rehearse-service`).

A good release takes the line over without a new code; one that cannot start makes room for the former release.
"""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY
from tests.contract.test_local_comeback import CLIENT, CONTACT, NUMBER
from tests.contract.test_service import Service
from tests.simulators.whatsapp.client import ContactClient, SimulatorClient
from tests.story.people import Operator, Owner
from tests.story.story import browser

pytestmark = [pytest.mark.stack, pytest.mark.chromium, pytest.mark.timeout(900)]

#: What `make install` has made; a clone shares it.
INSTALLED = (".venv", ".venv-ministack", "runner/node_modules", "infrastructure/local/table/node_modules")
AUTHOR = ("-c", "user.name=A person", "-c", "user.email=person@agency.example")


class Clone(Service):
    """A service that runs from a clone of its own, and what an operator types there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.checkout = directory / "checkout"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, self.checkout], check=True)
        for name in INSTALLED:
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to((REPOSITORY / name).resolve())
        (self.checkout / ".git" / "info" / "exclude").write_text("node_modules\n.venv*\n.make\n")
        (self.checkout / ".make").mkdir()
        for stamp in ("python", "ministack", "wa-js", "table"):
            (self.checkout / ".make" / stamp).touch()

    def make(self, target: str, **settings: str) -> tuple[int, str]:
        environment = {name: value for name, value in self.environment.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            ["make", "--silent", target],
            cwd=self.checkout,
            env={**environment, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=800,
        )
        return done.returncode, done.stdout

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *AUTHOR, *arguments], cwd=self.checkout, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def release(self, name: str, text: str) -> str:
        """Commits a file with more text at its end; returns the commit."""
        with (self.checkout / name).open("a") as file:
            file.write(text)
        self.git("commit", "--quiet", "--all", "--message", f"Change {name}")
        return self.commit

    @property
    def commit(self) -> str:
        return self.git("rev-parse", "--short=12", "HEAD")

    @property
    def health(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://localhost:{self.ports}/api/health", timeout=10) as answer:
            health: dict[str, object] = json.load(answer)
        return health


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    clone = Clone(tmp_path_factory.mktemp("upgrade"))
    code, output = clone.make("service", DATA=str(clone.data), PORTS=str(clone.ports))
    try:
        assert code == 0, output
        yield clone
    finally:
        clone.make("service-remove")


@pytest.fixture(scope="module")
def contact(service: Clone) -> Iterator[ContactClient]:
    """A contact of a line that was linked once."""
    addresses = json.loads((service.data / "stack.json").read_text())
    password = json.loads((service.data / "operator.json").read_text())["first_password"]
    with browser() as people, SimulatorClient(addresses["phone"]) as whatsapp:
        operator = Operator(people, addresses["admin"], None)
        operator.sign_in("operator@answerline.test", password, "A-password-of-my-own-1")
        operator.create(CLIENT)
        phone = whatsapp.phone(NUMBER, CLIENT.name)
        owner = Owner(people, None)
        owner.open_mail(addresses["outbox"], CLIENT.email)
        phone.scan(owner.code_on_the_screen())
        owner.wait_until_connected()
        contact = phone.contact(CONTACT, "Carla")
        ask(contact, 1)
        yield contact


def ask(contact: ContactClient, number: int) -> None:
    """Writes, and waits for the reply: nobody scans anything."""
    contact.write(f"question {number}")
    contact.wait_for_reply(number, timeout=90)
    texts = [str(reply["text"]) for reply in contact.replies()]
    assert len(texts) == len(set(texts)) == number, texts


def test_a_good_release_takes_the_line_over(service: Clone, contact: ContactClient) -> None:
    former, release = service.commit, service.release("README.md", "\nA release.\n")
    code, output = service.make("upgrade")
    assert code == 0, output
    assert f"from {former} to {release}" in output
    assert service.health["commit"] == release
    ask(contact, 2)
    code, output = service.make("upgrade")
    assert (code, output) == (0, f"{release} runs already\n")


def test_changed_files_are_refused(service: Clone, contact: ContactClient) -> None:
    (service.checkout / "README.md").write_text("not committed")
    code, output = service.make("upgrade")
    assert code != 0
    assert f"Files differ from commit {service.commit}: commit, stash or remove the changes first." in output
    service.git("checkout", "--", "README.md")
    ask(contact, 3)


@pytest.mark.parametrize(
    ("file", "text", "number"),
    [
        ("infrastructure/local/stack.py", "\nraise SystemExit('a release that does not start')\n", 4),
        # It starts, and its health answers with an error.
        ("chalice_app/chalicelib/wiring.py", "\nServices.commit = property(lambda self: 1 // 0)\n", 5),
        # Its doctor does not run: nothing was stopped.
        ("chalice_app/chalicelib/store/runners.py", "\nRunners.alive = None\n", 6),
    ],
)
def test_a_release_that_is_not_well_makes_room_for_the_former_one(
    service: Clone, contact: ContactClient, file: str, text: str, number: int
) -> None:
    former, branch = service.commit, service.git("rev-parse", "--abbrev-ref", "HEAD")
    broken = service.release(file, text)
    code, output = service.make("upgrade", WITHIN="20")
    assert code != 0
    assert "that failed: " in output and f"{former} runs again, and is checked out." in output, output
    assert service.commit == service.health["commit"] == former
    ask(contact, number)
    if branch != "HEAD":
        assert service.git("rev-parse", "--short=12", branch) == broken  # the branch is unchanged
        service.git("checkout", "--quiet", branch)
        service.git("reset", "--quiet", "--hard", former)
