"""Skips tests whose tools are missing after a plain `pip install`, and names the `make` target that installs them."""

import gc
import os
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from infrastructure.local import preflight
from infrastructure.local.settings import CannotStart, Settings
from tests.engines.dynoxide import Dynoxide, find_program

# Thousands of tests make garbage faster than cycles: looking for these after each 700 objects is a tenth of the time.
gc.set_threshold(1_000_000, 20, 20)


def _chromium() -> None:
    preflight.check_chromium(Settings(chromium=os.environ.get("CHROMIUM") or None))


#: By marker: the tools that its tests need, each with the check that fails without it. `make install` brings all.
TOOLS: dict[str, dict[str, Callable[[], object]]] = {
    "chromium": {"Chromium": _chromium, "wa-js": preflight.check_wa_js},
    "stack": {"MiniStack": preflight.check_ministack},
    "dynoxide": {"dynoxide": find_program},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-tools", action="store_true", help="fail where a tool is missing, instead of skipping")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marked = [marker for marker in TOOLS if item.get_closest_marker(marker)]
    if not (names := [name for marker in marked for name in missing(marker)]):
        return
    reason = f"missing: {', '.join(names)}; `make install` brings it"
    if item.config.getoption("--require-tools"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def missing(marker: str) -> tuple[str, ...]:
    """The tools of this marker that are not on this machine."""
    return tuple(name for name, check in TOOLS[marker].items() if not _passes(check))


def _passes(check: Callable[[], object]) -> bool:
    try:
        check()
    except CannotStart:
        return False
    return True


@pytest.fixture(scope="session")
def dynoxide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dynoxide]:
    """One engine in memory for all tests of this process, which take a table each."""
    with Dynoxide(tmp_path_factory.mktemp("dynoxide")) as engine:
        yield engine
