"""The checkout that this code runs from: its folder, and a version that names its exact state."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.checks import CheckResult, bad, ok

REPOSITORY = Path(__file__).resolve().parents[1]
GIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Checkout:
    """The state of a checkout that is built, run or deployed.

    ``commit`` is exact: if files differ from it, it carries a ``+`` and eight digits of their hash, so that two states
    of the same checkout never have the same name. It is empty where there is no git.
    """

    commit: str

    @property
    def clean(self) -> bool:
        """True if no file differs from the commit."""
        return bool(self.commit) and "+" not in self.commit

    @property
    def tag(self) -> str:
        """The commit as an image's tag, which may not contain a ``+``."""
        return self.commit.replace("+", "-")


def checkout(repository: Path) -> Checkout:
    """Reads the state of a checkout from git."""
    try:
        commit = _git(repository, "rev-parse", "--short=12", "HEAD").decode().strip()
        changed = _git(repository, "status", "--porcelain")
        if not changed.strip():
            return Checkout(commit)
        state = hashlib.sha256(_git(repository, "diff", "--binary", "HEAD"))
        for name in sorted(_git(repository, "ls-files", "-z", "--others", "--exclude-standard").split(b"\0")):
            path = repository / name.decode(errors="surrogateescape")
            if name and path.is_file():
                state.update(name + b"\0" + path.read_bytes())
    except (OSError, subprocess.SubprocessError):
        return Checkout("")
    return Checkout(f"{commit}+{state.hexdigest()[:8]}")


def release_of(repository: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the version that runs: the checkout's, or in an image, which has no git, the one that it was built of."""
    return checkout(repository).commit or environment.get("COMMIT") or "unknown"


def check_checkout(found: Checkout, *, committed_only: bool) -> CheckResult:
    """Checks that the deployed version can be found in git again."""
    if not found.commit:
        return bad("no git commit", "deploy from a git checkout, so that the deployed version can be identified")
    if found.clean or not committed_only:
        return ok(f"commit {found.commit}" + ("" if found.clean else " (files differ from the commit)"))
    return bad(f"commit {found.commit}: files differ from the commit", "commit them, or set DIRTY=1")


def _git(repository: Path, *arguments: str) -> bytes:
    # Another account than the checkout's owner may ask: this code runs from that checkout, so it is trusted already.
    trusted = ["-c", f"safe.directory={repository}", "--no-optional-locks"]
    return subprocess.run(
        ["git", *trusted, *arguments], cwd=repository, capture_output=True, timeout=GIT_SECONDS, check=True
    ).stdout
