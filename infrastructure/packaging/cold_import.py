"""Cold start: the time of `import app` in a fresh process, as a multiple of importing its libraries alone."""

import json
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_RATIO: Final = 1.6
#: The number of measurements, each of both in turn, so that other load on the machine slows both alike.
PAIRS: Final = 9
ANSWER_WITHIN_SECONDS: Final = 60
#: The libraries that every function needs. Any other one is imported where it is used.
ALWAYS_NEEDED: Final = frozenset(
    {"aws_lambda_powertools", "boto3", "chalice", "pydantic"}
    | {"botocore", "s3transfer", "urllib3", "certifi", "dateutil", "six", "jmespath"}  # boto3's
    | {"pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}  # pydantic's
)

#: The search path as on Lambda: the code, the standard library, and boto3 last.
_START = "import sys; sys.path[:] = [{code!r}] + sys.path + [{behind!r}]\n"
_LIST_LOADED = """
import app, json
own = ('app', 'chalicelib', 'wire')
places = ({code!r}, {behind!r})
print(json.dumps([name for name, module in list(sys.modules.items())
    if name.partition('.')[0] not in own and (getattr(module, '__file__', None) or '').startswith(places)]))
"""
_MEASURE = """
import importlib, time
names = {names!r}
began = time.process_time()
for name in names:
    importlib.import_module(name)
print(time.process_time() - began)
"""


class TooEager(Exception):
    """`import app` imports a library that not every function needs, or fails; the message says which."""


@dataclass(frozen=True)
class ColdImport:
    """Medians of processor time, which a busy machine hardly changes, and of the ratios of each pair."""

    app_seconds: float
    libraries_seconds: float
    ratio: float

    @property
    def good(self) -> bool:
        """True if a function starts fast enough."""
        return self.ratio <= MAX_RATIO

    def __str__(self) -> str:
        return (
            f"cold import of app: {self.ratio:.2f} times that of its libraries alone"
            f" ({self.app_seconds * 1000:.0f} and {self.libraries_seconds * 1000:.0f} ms of processor time here,"
            f" median of {PAIRS} pairs; at most {MAX_RATIO})"
        )


def measure(code: Path, python: Path, behind: Path) -> ColdImport:
    """Measures a package.

    Args:
        code: the unpacked zip.
        python: of the package's version.
        behind: a folder that has boto3.

    Raises:
        TooEager: `import app` imports too much, or fails.
    """
    libraries = loaded(code, python, behind)
    pairs = []
    _seconds(code, python, behind, ["app"])  # the first reads from disk count for neither
    for _ in range(PAIRS):
        alone = _seconds(code, python, behind, libraries)
        pairs.append((_seconds(code, python, behind, ["app"]), alone))
    return ColdImport(
        app_seconds=statistics.median(app for app, _ in pairs),
        libraries_seconds=statistics.median(alone for _, alone in pairs),
        ratio=statistics.median(app / alone for app, alone in pairs),
    )


def loaded(code: Path, python: Path, behind: Path) -> list[str]:
    """Lists the modules of libraries that `import app` loads, in that order. Raises TooEager."""
    places = {"code": str(code), "behind": str(behind)}
    found: list[str] = json.loads(_run(python, (_START + _LIST_LOADED).format(**places)))
    eager = sorted({name.partition(".")[0] for name in found} - ALWAYS_NEEDED)
    if eager:
        raise TooEager(
            f"`import app` imports {', '.join(eager)}, which not every function needs: import it where it is used."
        )
    return found


def _seconds(code: Path, python: Path, behind: Path, names: list[str]) -> float:
    program = (_START + _MEASURE).format(code=str(code), behind=str(behind), names=names)
    return float(_run(python, program))


def _run(python: Path, program: str) -> str:
    """Runs a program in a fresh process without environment and site-packages, which writes no bytecode."""
    command = [str(python), "-I", "-S", "-B", "-c", program]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=ANSWER_WITHIN_SECONDS, check=False)
    if done.returncode:
        raise TooEager(f"`import app` fails from the package, without any environment:\n{done.stderr.strip()}")
    return done.stdout
