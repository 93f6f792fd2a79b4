"""The walls of the house: who may import what, and what shipped code must not say."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTROL_PLANE = ROOT / "chalice_app"
LIBRARY = CONTROL_PLANE / "chalicelib"
RUNNER = ROOT / "runner"

#: The one file (or package) that may import an outside library, on each side.
ONLY_IMPORTERS: dict[str, set[str]] = {
    "chalice": {"chalice_app/app.py", *(f"chalice_app/chalicelib/{door}" for door in ("web/admin/", "web/landing.py"))}
    | {"chalice_app/chalicelib/web/runner_api.py", "chalice_app/chalicelib/web/snapshot_api.py"}
    | {"chalice_app/chalicelib/web/runner_auth.py"}
    | {"chalice_app/chalicelib/web/pages.py", "chalice_app/chalicelib/web/responses.py"},
    "aws_lambda_powertools": {"chalice_app/app.py"},
    "boto3": {"chalice_app/chalicelib/wiring.py"}
    | {f"chalice_app/chalicelib/store/{room}.py" for room in ("table", "expressions")},
    "openai": {"chalice_app/chalicelib/llm/"},
    "httpx2": {"chalice_app/chalicelib/llm/", "runner/control_plane/client.py"},
    "jinja2": {"chalice_app/chalicelib/rendering/templating.py"},
    "markupsafe": {"chalice_app/chalicelib/rendering/qr.py"},
    "qrcode": {"chalice_app/chalicelib/rendering/qr.py"},
    "phonenumbers": {"chalice_app/chalicelib/model/messages/phone_numbers.py"},
    "email_validator": {"chalice_app/chalicelib/model/mail_address.py"},
    "idna": {"chalice_app/chalicelib/model/assistants/web_domains.py"},
    "playwright": {"runner/browser/whatsapp.py"},
    "psutil": {"runner/browser/chromium.py", "runner/browser/process_freeze.py"},
    "zstandard": {"runner/profile/archive.py"},
    "fcntl": {"runner/profile/directory.py", "runner/browser/boot_gate.py"},
    "ctypes": {"runner/hardening.py"},
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
    ("a loopback address", "chalice_app/chalicelib/model/public_address.py"),  # refuses links that lead there
    ("a stage's name", "chalice_app/chalicelib/model/public_address.py"),  # host names that never leave a house
    ("a stage's name", "chalice_app/chalicelib/replies/tex.py"),  # the command of the product sign
    ("an AWS account", "chalice_app/vendor/wire.py"),  # a phone number as an example
}


def shipped() -> Iterator[Path]:
    for folder in (CONTROL_PLANE, RUNNER):
        for path in sorted(folder.rglob("*.py")):
            if "node_modules" not in path.parts and "__pycache__" not in path.parts:
                yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """Top names that a file imports, and whether only the type checker sees it."""
    return tuple(_imports(syntax(path)))


def _imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
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


def test_what_is_built_and_deployed_knows_nothing_of_the_one_machine_stack() -> None:
    folder = ROOT / "infrastructure"
    builders = [folder / f"{name}.py" for name in ("checkout", "passwords")]
    rooms = [*(folder / "packaging").glob("*.py"), *(folder / "deploying").rglob("*.py")]
    for path in (*builders, *sorted(rooms)):
        assert "infrastructure.local" not in path.read_text(), named(path)


def test_the_wire_has_models_and_no_behaviour() -> None:
    tree = ast.parse((CONTROL_PLANE / "vendor" / "wire.py").read_text())
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_the_environment_is_read_in_one_place_on_each_side() -> None:
    readers = {
        named(path)
        for path in shipped()
        if re.search(r"os\.environ|os\.getenv|from os import environ", path.read_text())
    }
    assert readers == {
        "chalice_app/app.py",  # queue name and log level, with defaults
        "chalice_app/chalicelib/wiring.py",
        "runner/__main__.py",
        "runner/health.py",  # asked every 30 s, next to a busy runner: it reads one variable and imports no settings
        "runner/smoke.py",
    }


def test_the_clock_is_an_argument() -> None:
    """Only the composition, and the files that make it injectable, may ask for the time itself."""
    asking = re.compile(r"\btime\.(?:time|time_ns|monotonic|clock_gettime)\b|\bdatetime\.now\b")
    askers = {named(path) for path in shipped() if asking.search(path.read_text())}
    assert askers == {
        "chalice_app/chalicelib/wiring.py",
        "chalice_app/chalicelib/llm/client.py",
        "runner/clock.py",
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
    files = [*shipped(), *LIBRARY.rglob("*.html"), *LIBRARY.rglob("*.js"), *(RUNNER / "browser").glob("*.js")]
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


def tracked_lines() -> Iterator[tuple[Path, str, str]]:
    """Every line of text under version control but this file's: its file, where it is, and what it says."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or path.suffix in {".png", ".ico"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            yield path, f"{name}:{number}", line


def test_no_machine_path_or_registry_host_is_tracked() -> None:
    host = re.compile(r"https?://[^\s\"']*(?:registry|pypi|mirror)[^\s\"']*/|(?<![\w.])/(?:root|home)/[a-z]")
    found = [f"{where}: {line.strip()[:120]}" for _, where, line in tracked_lines() if host.search(line)]
    assert not found, "\n".join(found)


def test_every_document_that_is_named_is_there() -> None:
    """By its path, not by a chapter's number: numbers change."""
    made_up = {"report.md", "r.md", "knowledge.md"}
    missing = []
    for path, where, line in tracked_lines():
        for document in re.findall(r"[\w./-]+\.md\b", line):
            if document not in made_up and not any((folder / document).is_file() for folder in (ROOT, path.parent)):
                missing.append(f"{where}: {document}")
        if "\N{SECTION SIGN}" in line:
            missing.append(f"{where}: {line.strip()[:80]}")
    assert not missing, "named, but not in the repository:\n" + "\n".join(missing)


def test_no_exemption_outlives_what_it_was_for() -> None:
    """A wall with a gap that nobody uses any more is closed again."""
    names = {named(path): path for path in shipped()}
    used = {(imported, name) for name, path in names.items() for imported, typing in imports(path) if not typing}
    unused: list[tuple[str, str]] = [
        (library, importer)
        for library, importers in ONLY_IMPORTERS.items()
        for importer in importers
        if not any(
            imported == library and (name.startswith(importer) if importer.endswith("/") else name == importer)
            for imported, name in used
        )
    ]
    unused += [(what, name) for what, name in ALLOWED if not FORBIDDEN[what].search((ROOT / name).read_text())]
    assert not unused


# -- layout and language -----------------------------------------------------------------------------------------------

MAX_MODULES_IN_A_FOLDER = 20
MAX_LINES_IN_A_MODULE = 320
#: Gerunds that are the field's own nouns; every other module is named by a plain noun.
GERUNDS = {"wiring", "reaping", "turn_taking", "formatting", "scaling", "linking", "templating"} | {
    *("hardening", "settings", "landing", "rendering", "packaging", "deploying")
}
#: A docstring opens with a verb or a noun; these leave open who acts.
DENIED_OPENINGS = re.compile(
    r"(?:who|what|whoever|whatever|whom|whose|which|that|it|they|those|nobody|everybody|somebody|anybody|everything|something"
    r"|anything|nothing|how|when|where|why|whether|until|so)\b",
    re.IGNORECASE,
)
#: Words of a name that say that a number is a duration, unless the name ends in its unit.
DURATION = re.compile(
    r"(?:^|_)(?:every|within|after|pause|delay|timeout|lifetime|interval|margin|grace|patience|ttl|backoff|age|elapsed"
    r"|duration|longest|shortest|apart)(?:$|_)|_for$|^for_|_wait$|^wait_|^wait$"
)
UNIT = re.compile(
    r"(?:^|_)(?:seconds|ms|minutes|hours|days)$|(?:^|_)(?:count|attempts|bytes|per_\w+|ratio|leases|share|weight)$"
)


def all_shipped() -> Iterator[Path]:
    """Every Python module that runs in production or builds it."""
    yield from shipped()
    yield from sorted((ROOT / "infrastructure").rglob("*.py"))


def is_number(annotation: ast.expr | None) -> bool:
    return annotation is not None and bool(
        re.fullmatch(r"(?:Final\[)?(?:int|float)\]?(?: \| None)?", ast.unparse(annotation))
    )


def is_literal_number(value: ast.expr | None) -> bool:
    """True for ``3``, ``2.5``, ``15 * 60_000``."""
    if isinstance(value, ast.BinOp):
        return is_literal_number(value.left) and is_literal_number(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def numbers_named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of each constant, field and parameter that holds a bare number."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_literal_number(node.value):
            yield from ((node.lineno, target.id) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if is_number(node.annotation) or (
                ast.unparse(node.annotation) == "Final" and is_literal_number(node.value)
            ):
                yield node.lineno, node.target.id
        elif isinstance(node, ast.arg) and is_number(node.annotation):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_number(node.returns):
            yield node.lineno, node.name


def public_docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, docstring) of the module and of each public class, function and method in it."""
    pending: list[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]] = [("module", tree)]
    while pending:
        name, node = pending.pop()
        docstring = ast.get_docstring(node)
        if docstring:
            yield name, docstring
        if isinstance(node, ast.Module | ast.ClassDef):
            pending += [
                (inner.name, inner)
                for inner in node.body
                if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and not inner.name.startswith("_")
            ]


def test_a_module_is_named_by_a_noun() -> None:
    gerunds = [named(path) for path in all_shipped() if re.search(r"ing$", path.stem) and path.stem not in GERUNDS]
    folders = {folder for path in all_shipped() for folder in path.relative_to(ROOT).parts[:-1]}
    gerunds += [folder for folder in folders if folder.endswith("ing") and folder not in GERUNDS]
    assert not gerunds, "name these modules by a noun of the field"


def test_a_folder_holds_few_modules_and_a_module_few_lines() -> None:
    folders = Counter(path.parent for path in all_shipped() if path.name != "__init__.py")
    crowded = [
        f"{named(folder)}: {count} modules" for folder, count in folders.items() if count > MAX_MODULES_IN_A_FOLDER
    ]
    lines = {named(path): len(path.read_text().splitlines()) for path in all_shipped()}
    long = [
        f"{name}: {count} lines"
        for name, count in lines.items()
        if count > MAX_LINES_IN_A_MODULE and not name.endswith("/wire.py")
    ]
    assert not crowded + long, "split these by noun"


def test_a_public_docstring_opens_with_a_verb_or_a_noun() -> None:
    found = []
    for path in all_shipped():
        for name, docstring in public_docstrings(syntax(path)):
            if DENIED_OPENINGS.match(docstring.lstrip('`*"“(')):
                found.append(f"{named(path)}: {name}: {docstring.splitlines()[0]}")
    assert not found, "name the actor or open with a verb:\n" + "\n".join(found)


def test_a_duration_is_a_timedelta_or_carries_its_unit() -> None:
    found = [
        f"{named(path)}:{line}: {name}"
        for path in all_shipped()
        for line, name in numbers_named(syntax(path))
        if DURATION.search(name.lower()) and not UNIT.search(name.lower())
    ]
    assert not found, "end these names in _seconds or _ms, or make them timedeltas:\n" + "\n".join(found)


#: The words that an engineer who joins searches for, and the module that does it.
SEARCHED = {
    "heartbeat": "runner/host.py",
    "notification": "chalice_app/chalicelib/notifications/notices.py",
    "autoscaler": "chalice_app/chalicelib/reconcilers/autoscaler.py",
    "garbage collection": "chalice_app/chalicelib/reconcilers/snapshot_gc.py",
    "liveness": "runner/browser/liveness.py",
    "retry": "runner/backoff.py",
    "deduplicate": "runner/messages/replies.py",
    "debounce": "chalice_app/chalicelib/model/turn_taking.py",
    "rate limit": "chalice_app/chalicelib/model/turn_taking.py",
    "graceful shutdown": "runner/host.py",
    "fencing token": "chalice_app/chalicelib/store/placement.py",
    "health check": "runner/health.py",
}


@pytest.mark.parametrize("word", sorted(SEARCHED))
def test_a_word_of_the_field_leads_to_the_module_that_does_it(word: str) -> None:
    path = ROOT / SEARCHED[word]
    summary = (ast.get_docstring(syntax(path)) or "").splitlines()[0]
    assert word in f"{path.stem} {summary}".lower().replace("_", " ")


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in all_shipped()}
    try:
        TopologicalSorter({name: imported_modules(path, modules) - {name} for name, path in modules.items()}).prepare()
    except CycleError as error:
        raise AssertionError(f"these import each other in a circle: {error.args[1]}") from None


def module_name(path: Path) -> str:
    """As it is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "chalice_app":
        parts = parts[2:] if parts[1] == "vendor" else parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Our own modules that this one imports when it is imported itself."""
    found: set[str] = set()
    for node in syntax(path).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()
