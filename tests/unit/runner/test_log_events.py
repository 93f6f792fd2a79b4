"""The runner's log: each line is an event that has a name, a meaning and a place where it is logged."""

import ast
import re
from pathlib import Path

import runner
from runner.log_events import LogEvent

RUNNER = Path(runner.__file__).parent
MODULES = {path: path.read_text() for path in RUNNER.rglob("*.py") if "node_modules" not in path.parts}


def first_arguments() -> list[ast.expr]:
    """The event of every call of `runner.logs.log`."""
    calls = [node for text in MODULES.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [call.args[0] for call in calls if ast.unparse(call.func) in ("log", "logs.log")]


def test_no_line_is_logged_under_a_bare_string() -> None:
    found = first_arguments()
    assert len(found) > 50
    assert not [ast.unparse(event) for event in found if isinstance(event, ast.Constant | ast.JoinedStr)]
    assert [path.name for path, text in MODULES.items() if re.search(r"\bLOGGER\b|getLogger", text)] == ["logs.py"]


def test_every_event_is_logged_somewhere() -> None:
    named = set(re.findall(r"LogEvent\.(\w+)", "\n".join(MODULES.values())))
    assert named == set(LogEvent.__members__)


def test_an_event_is_called_in_the_log_as_in_the_code_and_has_its_sentence() -> None:
    assert [event.value for event in LogEvent] == [name.lower() for name in LogEvent.__members__]
    described = re.findall(r"    #: [A-Z].+\.\n    (\w+) = ", MODULES[RUNNER / "log_events.py"])
    assert described == list(LogEvent.__members__)
