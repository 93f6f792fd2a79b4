"""The smoke test passes where a machine can run a browser, and fails where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.chromium
REPOSITORY = Path(__file__).resolve().parents[2]


def smoke(**more: str) -> subprocess.CompletedProcess[str]:
    paths = [str(REPOSITORY), str(REPOSITORY / "chalice_app" / "vendor")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}
    command = [sys.executable, "-m", "runner.smoke"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_a_browser_draws_a_letter_and_an_emoji_where_there_is_a_font_for_it() -> None:
    done = smoke()
    if done.returncode == 0:
        assert f"drew a letter and an emoji as user {os.geteuid()} within" in done.stdout
    else:
        assert done.stderr.endswith("drew only a letter: is a font missing?\n"), done.stderr


def test_a_browser_that_does_not_start_fails(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\n[ $# = 1 ] && echo Chromium 156.0.0.0\n")
    broken.chmod(0o755)
    done = smoke(CHROMIUM=str(broken))
    assert done.returncode == 1
    assert "Chromium does not start" in done.stderr
