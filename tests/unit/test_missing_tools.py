"""A test whose tool is missing is skipped with one line, and fails with it in `make test`."""

from types import SimpleNamespace
from typing import Any

import pytest

from infrastructure.checkout import REPOSITORY
from infrastructure.local.settings import CannotStart
from tests import conftest


def item(*markers: str, require_tools: bool) -> Any:
    return SimpleNamespace(
        get_closest_marker=lambda marker: marker if marker in markers else None,
        config=SimpleNamespace(getoption=lambda option: require_tools),
    )


@pytest.fixture
def without_wa_js(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise CannotStart("wa-js is not installed")

    tools = {"chromium": {"Chromium": lambda: None, "wa-js": missing}, "stack": {"MiniStack": lambda: None}}
    monkeypatch.setattr(conftest, "TOOLS", tools)
    monkeypatch.setattr(conftest, "missing", conftest.missing.__wrapped__)


@pytest.mark.usefixtures("without_wa_js")
@pytest.mark.parametrize(("require_tools", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_one_line_says_what_is_missing_and_how_to_install_it(require_tools: bool, outcome: type[BaseException]) -> None:
    with pytest.raises(outcome, match=r"^missing: wa-js; `make install` brings it$"):
        conftest.pytest_runtest_setup(item("chromium", "stack", require_tools=require_tools))


@pytest.mark.usefixtures("without_wa_js")
def test_a_test_that_needs_other_tools_runs() -> None:
    conftest.pytest_runtest_setup(item("stack", require_tools=True))


def test_make_test_skips_nothing_silently() -> None:
    (line,) = [line for line in (REPOSITORY / "Makefile").read_text().splitlines() if "--dist loadfile" in line]
    assert "--require-tools" in line
