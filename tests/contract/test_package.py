"""The package itself, built twice from the registries: small, complete, reproducible, and started without openai."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infrastructure.packaging.cold_import import loaded
from infrastructure.packaging.lambda_python import find
from infrastructure.packaging.package import MAX_ZIP_BYTES, Architecture, Package, build
from infrastructure.packaging.template import dump
from tests.unit.support import final_template

pytestmark = pytest.mark.timeout(600)
PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("package"), python=PYTHON)


@pytest.fixture(scope="module")
def unpacked(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked package in a read-only folder, as on Lambda."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package.zip) as archive:
        archive.extractall(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)
    return folder


def test_it_is_small(package: Package) -> None:
    assert package.zip_bytes == package.zip.stat().st_size <= MAX_ZIP_BYTES == 12_000_000


def test_a_second_one_has_the_same_bytes(package: Package, tmp_path: Path) -> None:
    # in another folder, at another time, in another environment
    os.utime(package.zip, (0, 0))
    again = build(tmp_path / "elsewhere", python=PYTHON)
    assert again.zip.read_bytes() == package.zip.read_bytes()
    assert again.template.read_bytes() == package.template.read_bytes()
    assert again.sha256 == package.sha256


def test_it_carries_bytecode_of_all_that_starts_and_not_of_openai(package: Package) -> None:
    with zipfile.ZipFile(package.zip) as archive:
        names = archive.namelist()
    compiled = {name.rpartition("/__pycache__/")[0] or "." for name in names if name.endswith(".pyc")}
    assert compiled >= {".", "chalicelib", "chalicelib/store", "pydantic", "chalice", "aws_lambda_powertools/logging"}
    assert not [folder for folder in compiled if folder.partition("/")[0] == "openai"]
    assert "chalicelib/rendering/templates/layout.html" in names
    assert not [name for name in names if name.endswith((".pyi", "/RECORD")) or name.startswith(("boto", "tests/"))]


def test_it_starts_from_a_read_only_folder_without_openai(unpacked: Path) -> None:
    before = set(unpacked.rglob("*"))
    libraries = {name.partition(".")[0] for name in loaded(unpacked, PYTHON, find(PYTHON).libraries())}
    assert "openai" not in libraries
    assert libraries >= {"pydantic", "boto3"}
    assert set(unpacked.rglob("*")) == before


def test_openai_is_in_it_all_the_same(unpacked: Path) -> None:
    program = f"import sys; sys.path[:0] = [{str(unpacked)!r}]; import openai; print(openai.__file__)"
    done = subprocess.run([PYTHON, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(str(unpacked)), done.stderr


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_cfn_lint_finds_nothing_in_its_template(architecture: Architecture, tmp_path: Path) -> None:
    body = json.loads(json.dumps(final_template.packaged(architecture)))
    body["Parameters"]["Architecture"]["Default"] = architecture
    written = tmp_path / "template.yaml"
    written.write_text(dump(body))
    lint = PYTHON.with_name("cfn-lint")
    done = subprocess.run([lint, written], capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stdout) == (0, "")
