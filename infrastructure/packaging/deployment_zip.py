"""The zip for Lambda: without files that Lambda never reads, with bytecode, reproducible byte for byte."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Libraries without bytecode, to save space: a function imports few of their modules, or none at all.
WITHOUT_BYTECODE = (
    "openai",
    "dns",
    "phonenumbers/(data|shortdata)",
    "pydantic/v1",
    *(f"aws_lambda_powertools/{unused}" for unused in ("event_handler", "utilities/data_classes", "utilities/parser")),
)
#: The folder into which Lambda unpacks the code; tracebacks name it.
ON_LAMBDA = "/var/task"
#: The earliest time that a zip can store.
EARLIEST = (1980, 1, 1, 0, 0, 0)
COMPILE_SECONDS = 300


class NotCompiled(Exception):
    """A file of the package is no valid Python; the message is the compiler's."""


def unpack(archive: Path, into: Path) -> None:
    """Unpacks Chalice's zip, without the files that Lambda has no use for."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(into)
    for path in sorted(into.rglob("*"), reverse=True):
        if path.is_dir() and _is_unused_folder(path.relative_to(into)):
            shutil.rmtree(path)
        elif path.is_file() and _is_unused(path):
            path.unlink()


def compile_all(code: Path, python: Path) -> None:
    """Compiles bytecode that Python uses unchecked: times in a zip mean nothing, and Lambda's folder is read-only."""
    command = [str(python), "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    without = rf"^{re.escape(str(code))}/({'|'.join(WITHOUT_BYTECODE)})/"
    command += ["-s", str(code), "-p", ON_LAMBDA, "-x", without, str(code)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
    )
    if done.returncode:
        raise NotCompiled(done.stdout + done.stderr)


def pack(code: Path, archive: Path) -> None:
    """Writes the zip: the same bytes for the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in _files(code):
            entry = zipfile.ZipInfo(path.relative_to(code).as_posix(), EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the permissions count
            entry.external_attr = (0o755 if path.suffix == ".so" else 0o644) << 16
            packed.writestr(entry, path.read_bytes())


def _files(code: Path) -> Iterator[Path]:
    return iter(sorted((path for path in code.rglob("*") if path.is_file()), key=lambda path: path.as_posix()))


def _is_unused_folder(path: Path) -> bool:
    """Returns whether a folder has tests of libraries, scripts of the command line or for browsers, or old bytecode."""
    return path.name in ("tests", "swagger_ui", "__pycache__") or path.name.endswith(".data")


def _is_unused(path: Path) -> bool:
    """Returns whether a file has types for checkers, or an installer's notes about files elsewhere."""
    note = path.parent.name.endswith(".dist-info") and path.name in ("RECORD", "INSTALLER", "REQUESTED")
    return path.suffix == ".pyi" or path.name == "py.typed" or note
