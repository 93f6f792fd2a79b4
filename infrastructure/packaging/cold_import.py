"""What `import app` costs a fresh process, as a multiple of importing its libraries alone in the same run."""

import json
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RATIO_AT_MOST: Final = 1.6
#: Measured in turn, so that whatever else the machine does falls on both alike.
PAIRS: Final = 9
ANSWER_WITHIN_SECONDS: Final = 60
#: What every function needs for whatever it does. Anything else is imported where it is used.
ALWAYS_NEEDED: Final = frozenset(
    {"aws_lambda_powertools", "boto3", "chalice", "pydantic"}
    | {"botocore", "s3transfer", "urllib3", "certifi", "dateutil", "six", "jmespath"}  # boto3's
    | {"pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}  # pydantic's
)

#: As on Lambda: nothing but the code, boto3 behind it, and the standard library.
_START = "import sys; sys.path[:] = [{code!r}] + sys.path + [{behind!r}]\n"
_WHAT_IS_LOADED = """
import app, json
own = ('app', 'chalicelib', 'wire')
places = ({code!r}, {behind!r})
print(json.dumps([name for name, module in list(sys.modules.items())
    if name.partition('.')[0] not in own and (getattr(module, '__file__', None) or '').startswith(places)]))
"""
_HOW_LONG = """
import importlib, time
names = {names!r}
began = time.process_time()
for name in names:
    importlib.import_module(name)
print(time.process_time() - began)
"""


class TooEager(Exception):
    """`import app` brings what not everybody needs; the message names it."""


@dataclass(frozen=True)
class ColdImport:
    """Medians: processor time in seconds, which a busy machine hardly changes, and the pairs' own ratios."""

    app: float
    libraries: float
    ratio: float

    @property
    def good(self) -> bool:
        return self.ratio <= RATIO_AT_MOST

    def __str__(self) -> str:
        return (
            f"cold import of app: {self.ratio:.2f} times that of its libraries alone"
            f" ({self.app * 1000:.0f} and {self.libraries * 1000:.0f} ms of processor time here,"
            f" median of {PAIRS} pairs; at most {RATIO_AT_MOST})"
        )


def measure(code: Path, python: Path, behind: Path) -> ColdImport:
    """``code`` is the unpacked zip, ``behind`` a folder that has boto3. Raises TooEager."""
    libraries = loaded(code, python, behind)
    pairs = []
    _seconds(code, python, behind, ["app"])  # what the disk reads for the first time counts for nobody
    for _ in range(PAIRS):
        alone = _seconds(code, python, behind, libraries)
        pairs.append((_seconds(code, python, behind, ["app"]), alone))
    return ColdImport(
        app=statistics.median(app for app, _ in pairs),
        libraries=statistics.median(alone for _, alone in pairs),
        ratio=statistics.median(app / alone for app, alone in pairs),
    )


def loaded(code: Path, python: Path, behind: Path) -> list[str]:
    """The modules of libraries that `import app` loads, in that order. Raises TooEager."""
    places = {"code": str(code), "behind": str(behind)}
    found: list[str] = json.loads(_run(python, (_START + _WHAT_IS_LOADED).format(**places)))
    eager = sorted({name.partition(".")[0] for name in found} - ALWAYS_NEEDED)
    if eager:
        raise TooEager(
            f"`import app` brings {', '.join(eager)}, which not every function needs: import it where it is used."
        )
    return found


def _seconds(code: Path, python: Path, behind: Path, names: list[str]) -> float:
    program = (_START + _HOW_LONG).format(code=str(code), behind=str(behind), names=names)
    return float(_run(python, program))


def _run(python: Path, program: str) -> str:
    """In a fresh process without an environment, without site-packages, that leaves no bytecode behind."""
    command = [str(python), "-I", "-S", "-B", "-c", program]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=ANSWER_WITHIN_SECONDS, check=False)
    if done.returncode:
        raise TooEager(f"`import app` fails from the package, without any environment:\n{done.stderr.strip()}")
    return done.stdout
