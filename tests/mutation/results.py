"""The results of mutants, kept from run to run as long as what judged them is the same."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.mutant import Mutant, digest
from tests.mutation.sides import judging_files, side_of

UNITS, HISTORIES, NOTHING = "unit tests", "histories", "nothing"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one mutant.

    Args:
        by: unit tests, histories or nothing.
        finder: the test that fails, or the history, in words.
        mutant: a hash of the mutated module.
        judges: a hash of the test that found it and of its fixtures; for other results, of all code and tests.
        seconds: how long it took.
    """

    by: str
    finder: str
    mutant: str
    judges: str
    seconds: float


class Results:
    """The results by the mutants' labels, in a file.

    Args:
        file: it need not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._kept = {label: Result(**one) for label, one in json.loads(file.read_text()).items()}
        except (FileNotFoundError, ValueError, TypeError):
            self._kept = {}
        self._fingerprints: dict[str, str] = {}
        self._lock = threading.Lock()

    def valid(self, mutant: Mutant) -> Result | None:
        """Returns the mutant's result, unless it was of another module or judged by other tests."""
        kept = self._kept.get(mutant.label)
        if (
            kept is None
            or kept.mutant != digest(mutant.source)
            or kept.judges != self._judges(mutant, kept.by, kept.finder)
        ):
            return None
        return kept

    def former_finder(self, mutant: Mutant) -> str | None:
        """Returns the unit test that once found this mutant: it is tried first."""
        kept = self._kept.get(mutant.label)
        return kept.finder if kept is not None and kept.by == UNITS else None

    def keep(self, mutant: Mutant, by: str, finder: str, seconds: float) -> Result:
        """Keeps a result, also if this process ends in a moment."""
        result = Result(by, finder, digest(mutant.source), self._judges(mutant, by, finder), round(seconds, 2))
        with self._lock:
            self._kept[mutant.label] = result
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps({label: asdict(one) for label, one in self._kept.items()}, indent=1))
            new.replace(self._file)
        return result

    def _judges(self, mutant: Mutant, by: str, finder: str) -> str:
        if by == UNITS:
            return judging_files(finder)
        side = side_of(mutant.path)
        if side.code not in self._fingerprints:
            self._fingerprints[side.code] = side.fingerprint()
        return self._fingerprints[side.code]
