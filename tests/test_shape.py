"""The walls of the house: who may import what, and what shipped code must not say."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTROL_PLANE = ROOT / "chalice_app"
LIBRARY = CONTROL_PLANE / "chalicelib"
RUNNER = ROOT / "runner"

#: The one file (or package) that may import an outside library, on each side.
ONLY_IMPORTERS: dict[str, set[str]] = {
    "chalice": {"chalice_app/app.py", *(f"chalice_app/chalicelib/{door}" for door in ("admin/", "landing.py"))}
    | {"chalice_app/chalicelib/runner_api.py", "chalice_app/chalicelib/snapshot_api.py"}
    | {"chalice_app/chalicelib/knocking.py", "chalice_app/chalicelib/pages.py"},
    "aws_lambda_powertools": {"chalice_app/app.py"},
    "boto3": {"chalice_app/chalicelib/wiring.py"}
    | {f"chalice_app/chalicelib/store/{room}.py" for room in ("table", "expressions")},
    "openai": {"chalice_app/chalicelib/brain/"},
    "httpx2": {"chalice_app/chalicelib/brain/", "runner/control.py"},
    "markdown_it": {"chalice_app/chalicelib/wording.py"},
    "jinja2": {"chalice_app/chalicelib/pages.py", "chalice_app/chalicelib/mailer.py"},
    "markupsafe": {"chalice_app/chalicelib/qr.py"},
    "qrcode": {"chalice_app/chalicelib/qr.py"},
    "email_validator": {"chalice_app/chalicelib/admin/forms.py"},
    "playwright": {"runner/whatsapp.py", "runner/page.py"},
    "psutil": {"runner/chromium.py", "runner/freezing.py"},
    "zstandard": {"runner/snapshot.py"},
    "fcntl": {"runner/profile.py"},
    "ctypes": {"runner/secrecy.py"},
}
#: Libraries that anybody may use (and the standard library).
EVERYBODYS = {"pydantic", "pydantic_core", "botocore", "wire", "chalicelib", "runner"}

#: What only a deployment or a test may know.
FORBIDDEN = {
    "a loopback address": re.compile(r"\blocalhost\b|127\.0\.0\.1|\[::1\]"),
    "an AWS account": re.compile(r"(?<![0-9a-zA-Z_.])\d{12}(?![0-9a-zA-Z_])"),
    "a stage's name": re.compile(r"""["'](?:prod|production|staging|dev|local)["']"""),
    "a branch for one place": re.compile(r"\bif\s+(?:is_)?(?:local|prod|production|simulated)\b"),
    "a simulator": re.compile(r"simulat(?:or|ed|ion)", re.IGNORECASE),
}
#: Where a rule's own subject is that very word.
ALLOWED = {
    ("a loopback address", "chalice_app/chalicelib/links.py"),  # refuses links that lead there
    ("a loopback address", "runner/chromium.py"),  # the allow-list's own comment
    ("a stage's name", "chalice_app/chalicelib/links.py"),  # host names that never leave a house
    ("an AWS account", "chalice_app/vendor/wire.py"),  # a phone number as an example
}


def shipped() -> Iterator[Path]:
    for folder in (CONTROL_PLANE, RUNNER):
        for path in sorted(folder.rglob("*.py")):
            if "node_modules" not in path.parts and "__pycache__" not in path.parts:
                yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Top names that a file imports, and whether only the type checker sees it."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], id(node) in typing_only
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0], id(node) in typing_only


@pytest.mark.parametrize("path", list(shipped()), ids=named)
def test_each_outside_library_has_one_importer(path: Path) -> None:
    name = named(path)
    for imported, typing_only in imports(path):
        if typing_only or (imported in sys.stdlib_module_names and imported not in ONLY_IMPORTERS):
            continue
        if imported in EVERYBODYS:
            continue
        assert imported in ONLY_IMPORTERS, f"{name} imports {imported}: name its one importer here"
        allowed = ONLY_IMPORTERS[imported]
        assert any(name == each or (each.endswith("/") and name.startswith(each)) for each in allowed), (
            f"{name} imports {imported}; only {sorted(allowed)} may"
        )


def test_control_plane_and_runner_know_only_the_wire_of_each_other() -> None:
    for path in shipped():
        imported = {name for name, _ in imports(path)}
        if RUNNER in path.parents:
            assert "chalicelib" not in imported, named(path)
        else:
            assert "runner" not in imported, named(path)
        assert not imported & {"tests", "infrastructure"}, named(path)


def test_the_wire_has_models_and_no_behaviour() -> None:
    tree = ast.parse((CONTROL_PLANE / "vendor" / "wire.py").read_text())
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_the_environment_is_read_in_one_place_on_each_side() -> None:
    readers = {
        named(path)
        for path in shipped()
        if re.search(r"os\.environ|os\.getenv|from os import environ", path.read_text())
    }
    assert readers <= {
        "chalice_app/app.py",  # queue name and log level, with defaults
        "chalice_app/chalicelib/wiring.py",
        "runner/__main__.py",
        "runner/health.py",  # asked every 30 s, next to a busy runner: it reads one variable and imports no settings
        "runner/settings.py",
        "runner/smoke.py",
    }


def test_the_clock_and_chance_are_arguments() -> None:
    """Only the composition, and the files that make them injectable, may ask for the time itself."""
    asking = re.compile(r"\btime\.(?:time|time_ns|monotonic)\(\)|datetime\.now\(")
    askers = {named(path) for path in shipped() if asking.search(path.read_text())}
    assert askers <= {
        "chalice_app/chalicelib/wiring.py",
        "chalice_app/chalicelib/fleet.py",
        "chalice_app/chalicelib/brain/",
        "runner/clock.py",
        "runner/logs.py",
    }


def test_app_imports_with_an_empty_environment_and_without_openai() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "vendor"}
    done = subprocess.run(
        [sys.executable, "-c", "import app, sys; assert 'openai' not in sys.modules"],
        cwd=CONTROL_PLANE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_shipped_code_knows_no_place(what: str) -> None:
    found = []
    files = [*shipped(), *LIBRARY.rglob("*.html"), *LIBRARY.rglob("*.js"), RUNNER / "bridge.js"]
    for path in files:
        if (what, named(path)) in ALLOWED:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{named(path)}:{number}: {line.strip()}")
    assert not found, f"{what} in shipped code:\n" + "\n".join(found)


def test_every_module_says_what_it_is_responsible_for() -> None:
    silent = [
        named(path)
        for path in shipped()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_nobody_calls_a_room_utils() -> None:
    nameless = {"utils", "helpers", "manager", "base", "common", "misc"}
    assert not [named(path) for path in shipped() if path.stem in nameless]


def test_no_machine_path_or_registry_host_is_tracked() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    host = re.compile(r"https?://[^\s\"']*(?:registry|pypi|mirror)[^\s\"']*/|(?<![\w.])/(?:root|home)/[a-z]")
    found = []
    for name in tracked:
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or path.suffix in {".png", ".ico"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if host.search(line):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)
