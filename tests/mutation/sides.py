"""The two sides of the product: which modules are mutated on each, and which tests judge them."""

from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutant import digest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Side:
    """A side of the product; paths are from the root.

    Args:
        code: the folder of its modules.
        units: the folder of its unit tests, which mirrors ``code``.
        more: tests that judge its mutants too.
        mutated: the modules, or folders of them, whose conditions are removed one by one.
    """

    code: str
    units: str
    more: tuple[str, ...]
    mutated: tuple[str, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """The files and folders of its tests."""
        return self.units, *self.more

    def test_files(self) -> list[str]:
        """Returns the files of its tests."""
        found = {file for each in self.tests for file in ({ROOT / each} | {*(ROOT / each).rglob("test_*.py")})}
        return sorted(file.relative_to(ROOT).as_posix() for file in found if file.is_file())

    def modules(self) -> list[str]:
        """Returns the modules whose conditions are removed, the smallest first."""
        found = [path for each in self.mutated for path in (sorted((ROOT / each).rglob("*.py")) or [ROOT / each])]
        return [path.relative_to(ROOT).as_posix() for path in sorted(found, key=lambda path: path.stat().st_size)]

    def mirror(self, path: str) -> str:
        """Returns the beginning of the names of a module's own tests, such as ``…/store/test_slots``."""
        module = Path(path).relative_to(self.code)
        return (Path(self.units) / module.parent / f"test_{module.stem}").as_posix()

    def fingerprint(self) -> str:
        """Returns a hash of all code and tests that can judge a mutant of this side."""
        roots = ("chalice_app", "runner", "tests/simulation", "tests/unit/support", *self.tests)
        files = sorted(
            {file for root in roots for file in _sources(ROOT / root)} | {*(ROOT / "tests/unit").glob("*.py")}
        )
        return digest(*(file.read_text() for file in files))


CONTROL_PLANE = Side(
    code="chalice_app/chalicelib",
    units="tests/unit/chalicelib",
    more=("tests/unit/test_stored_names.py", "tests/simulation/test_store_machine.py"),
    mutated=("chalice_app/chalicelib/store",),
)
_JOURNAL = ("journal", "journal_entries", "journal_owner", "outbox", "handover")
RUNNER = Side(
    code="runner",
    units="tests/unit/runner",
    more=(),
    mutated=tuple(f"runner/messages/{name}.py" for name in _JOURNAL),
)
SIDES = (CONTROL_PLANE, RUNNER)


def side_of(path: str) -> Side:
    """Returns the side that a module belongs to."""
    return next(side for side in SIDES if path.startswith(f"{side.code}/"))


def judging_files(test: str) -> str:
    """Returns a hash of a test's file and of the fixtures around it."""
    file = ROOT / test.partition("::")[0]
    folders = [folder for folder in file.parents if ROOT in folder.parents]
    fixtures = [folder / "conftest.py" for folder in folders if (folder / "conftest.py").exists()]
    return digest(*(each.read_text() for each in (file, *fixtures) if each.exists()))


def _sources(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    return [path for path in root.rglob("*") if path.suffix in (".py", ".js") and "node_modules" not in path.parts]
