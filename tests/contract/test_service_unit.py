"""The unit's hardening: Chromium starts under it and keeps its own sandbox, and the rest is really refused."""

import ctypes.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.local.service.unit import Installation, unit_text

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None,
    reason="missing: systemd-analyze or libseccomp, of Debian's packages systemd and libseccomp2",
)

#: An account without rights; root itself needs no sandbox.
NOBODY = 65534
#: Each line prints `name True` if the call was refused.
TRIALS = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(result, code): return result == -1 and ctypes.get_errno() == code
print("mount", refused(libc.mount(b"a", b"b", b"c", 0, None), errno.EPERM))
print("reboot", refused(libc.reboot(0), errno.EPERM))
print("mnt", refused(libc.unshare(0x20000), errno.EPERM))
print("ipc", refused(libc.unshare(0x8000000), errno.EPERM))
print("user", refused(libc.unshare(0x10000000), errno.EPERM))
for name, family in (("packet", 17), ("vsock", 40), ("unix", 1)):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
        print(name, False)
    except OSError as error:
        print(name, error.errno == errno.EAFNOSUPPORT)
"""


@pytest.fixture
def unit() -> Iterator[Path]:
    data = Path("/srv/answerline")
    installation = Installation(
        checkout=REPOSITORY,
        data=data,
        settings_file=data / "answerline.env",
        credentials=data / "credentials",
        secrets=(),
        user="nobody",
        group="nogroup",
        home=data,
    )
    # Not pytest's own directory, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="unit-") as directory:
        Path(directory).chmod(0o777)
        file = Path(directory) / "answerline.service"
        file.write_text(unit_text(installation))
        file.chmod(0o644)  # whatever umask a stack in this process has set
        yield file


def interpreter() -> tuple[str, dict[str, Any]]:
    """A Python that an account without rights can run, and that account."""
    if os.geteuid() != 0:
        return sys.executable, {}
    identity: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin") or ""):
        try:
            subprocess.run([python, "-c", ""], check=True, capture_output=True, timeout=30, **identity)
        except (OSError, subprocess.SubprocessError):
            continue
        return python, identity
    pytest.skip(f"missing: a Python {version} that an account without rights can run")


def run_under(unit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    python, identity = interpreter()
    paths = [".", "chalice_app", "chalice_app/vendor", sysconfig.get_path("purelib")]
    directory = str(unit.parent)
    environment = {
        **{"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
        **{"HOME": directory, "TMPDIR": directory},
    }
    return subprocess.run(
        [python, str(Path(__file__).with_name("unit_sandbox.py")), str(unit), python, *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        **identity,
    )


def test_what_no_part_of_answerline_needs_is_refused(unit: Path) -> None:
    done = run_under(unit, "-c", TRIALS)
    assert done.returncode == 0, done.stderr
    refused = {name: answer == "True" for name, answer in map(str.split, done.stdout.splitlines())}
    assert refused == {
        **{"mount": True, "reboot": True, "mnt": True, "ipc": True, "packet": True, "vsock": True},
        **{"user": False, "unix": False},
    }


@pytest.mark.chromium
def test_chromium_starts_with_its_own_sandbox_and_draws(unit: Path) -> None:
    """Not as root: then a runner starts it with its sandbox."""
    done = run_under(unit, "-m", "runner.smoke")
    assert "Chromium" in done.stdout + done.stderr, done.stderr[-2000:]
    assert "drew a letter" in (done.stdout + done.stderr).replace("drew only", "drew")  # a font of emoji may be missing


@pytest.mark.chromium
def test_without_its_namespaces_chromium_would_not_start(unit: Path) -> None:
    """The trial itself: the filter reaches the browser."""
    unit.write_text(unit.read_text().replace("RestrictNamespaces=user pid net", "RestrictNamespaces=user net"))
    done = run_under(unit, "-m", "runner.smoke")
    assert done.returncode != 0
    assert "Chromium does not start" in done.stderr
