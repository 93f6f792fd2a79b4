"""`make` without one of its tools: one clear sentence, and no half-finished installation."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infrastructure.checkout import REPOSITORY

#: The tools of the recipes; a test adds any other.
TOOLS = ("bash", "sh", "make", "awk", "sed", "mkdir", "touch", "test", "rm", "env", "dirname")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that `make install` looks at, with nothing installed."""
    for name in (
        "Makefile",
        "requirements.txt",
        "chalice_app/requirements.txt",
        "runner/requirements.txt",
        "runner/package.json",
        "runner/package-lock.json",
        "infrastructure/local/ministack.txt",
        "infrastructure/local/requirements.txt",
        "infrastructure/local/table/package.json",
        "infrastructure/local/table/package-lock.json",
    ):
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, target)
    return tmp_path / "checkout"


def make(checkout: Path, *arguments: str, **programs: str) -> tuple[int, str]:
    """Run `make` with only the basic tools and these programs (name → shell script) on the path."""
    bin_directory = checkout / "bin"
    bin_directory.mkdir(exist_ok=True)
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (bin_directory / tool).symlink_to(found)
    for name, script in programs.items():
        path = bin_directory / name.replace("_", "-")
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)
    environment = {"PATH": str(bin_directory), "HOME": str(checkout), "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8")}
    done = subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def installed(checkout: Path, *stamps: str) -> None:
    (checkout / ".make").mkdir(exist_ok=True)
    for stamp in stamps:
        (checkout / ".make" / stamp).touch()


def test_make_alone_prints_what_it_can_do(checkout: Path) -> None:
    status, output = make(checkout)
    assert status == 0
    for target in ("up", "check", "test", "story", "peers", "backup", "restore", "clean"):
        assert f"make {target} " in output


def test_without_python_it_says_so(checkout: Path) -> None:
    status, output = make(checkout, "up")
    assert status != 0
    assert "There is no python3: install Python 3.11 or newer." in output


def test_with_an_old_python_it_says_so(checkout: Path) -> None:
    status, output = make(checkout, "up", python3="exit 1")
    assert status != 0
    assert "python3 is too old: Python 3.11 or newer is needed" in output


def test_without_a_network_it_says_so(checkout: Path) -> None:
    # A python whose pip finds nothing.
    python = 'case "$*" in *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;; *pip*) exit 1;; esac'
    status, output = make(checkout, "up", python3=python, cp=f'exec {shutil.which("cp")} "$@"')
    assert status != 0
    assert "The Python packages could not be installed: is there a network?" in output
    assert not (checkout / ".make" / "python").exists()


def test_without_node_it_says_so(checkout: Path) -> None:
    installed(checkout, "python", "ministack")
    status, output = make(checkout, "up")
    assert status != 0
    assert "There is no npm: install Node 20 or newer" in output


@pytest.mark.parametrize("stamps", [("python", "ministack"), ("python", "ministack", "wa-js")])
@pytest.mark.parametrize(
    ("version", "too_old"), [("18.19.1", True), ("19.9.0", True), ("20.0.0", False), ("26.1.0", False)]
)
def test_an_old_node_is_told_and_a_new_one_installs(
    checkout: Path, stamps: tuple[str, ...], version: str, too_old: bool
) -> None:
    """The machine's own Node judges the version: its `process.exit` takes no boolean."""
    installed(checkout, *stamps)
    set_version = f"Object.defineProperty(process.versions, 'node', {{value: '{version}'}});"
    node = f'case "$1" in -e) exec {shutil.which("node")} -e "{set_version} $2";; --version) echo v{version};; esac'
    status, output = make(checkout, "up", npm="exit 1", node=node)
    assert status != 0
    assert (f"Node v{version} is too old: Node 20 or newer is needed" in output) is too_old, output
    assert ("nodesource" in output) is too_old
    assert ("installing" in output and "is there a network?" in output) is not too_old


@pytest.mark.parametrize("target", ["doctor", "backup", "backup-key", "export", "import", "restore", "forget"])
def test_a_command_on_data_installs_nothing_in_a_checkout_of_another_account(checkout: Path, target: str) -> None:
    """As root, `make install` would leave its files to root, and fetch a browser that is there for its owner."""
    status, output = make(checkout, target, stat="echo 4711", id="echo 0")
    assert status != 0
    assert "Nothing is installed: run 'make install' as 4711 first." in output


def test_when_wa_js_cannot_be_fetched_it_says_so(checkout: Path) -> None:
    installed(checkout, "python", "ministack")
    status, output = make(checkout, "up", npm="exit 1")
    assert status != 0
    assert "wa-js could not be installed: is there a network?" in output


def test_when_chromium_cannot_be_installed_it_says_how(checkout: Path) -> None:
    installed(checkout, "python", "ministack", "wa-js", "table")
    status, output = make(checkout, "up", id="echo 0", apt_get="exit 100")
    assert status != 0
    assert "installing Chromium with apt …" in output
    assert "Chromium could not be installed: run 'apt-get install chromium-headless-shell'" in output


def test_a_chromium_that_is_there_is_taken(checkout: Path) -> None:
    installed(checkout, "python", "ministack", "wa-js", "table")
    assert make(checkout, "install", chromium="exit 0") == (0, "")
