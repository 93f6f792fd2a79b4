"""What is checked out here: its folder, and the one word for its state."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infrastructure.checks import Finding, bad, ok

REPOSITORY = Path(__file__).resolve().parents[1]
GIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Checkout:
    """What would be built, run or deployed.

    ``commit`` is exact: of files that differ from it, it carries a ``+`` and eight digits of their hash, so that two
    states of the same checkout are never taken for each other.
    """

    commit: str

    @property
    def clean(self) -> bool:
        """Whether it is the commit and nothing else."""
        return bool(self.commit) and "+" not in self.commit

    @property
    def tag(self) -> str:
        """The commit as a registry takes it."""
        return self.commit.replace("+", "-")


def checkout(repository: Path) -> Checkout:
    """What is checked out; an empty commit where git has nothing to say."""
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


def look_at_checkout(found: Checkout, *, committed_only: bool) -> Finding:
    """Whether this may be deployed: what runs should be found again in git."""
    if not found.commit:
        return bad("no git commit", "deploy from a git checkout, so that everybody can tell what runs")
    if found.clean or not committed_only:
        return ok(f"commit {found.commit}" + ("" if found.clean else " (files differ from the commit)"))
    return bad(f"commit {found.commit}: files differ from the commit", "commit them, or say DIRTY=1")


def _git(repository: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=repository, capture_output=True, timeout=GIT_SECONDS, check=True
    ).stdout
