"""Another wa-js is taken only if it keeps the whole contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.update_wa_js import BUNDLE, PACKAGE, Verdict, update, verdict_of

GOOD = Verdict(60)
LACKING = "test_wa_js_has_everything_the_bridge_uses"
BAD = Verdict(59, ((LACKING, "AssertionError: wa-js lacks chat.find, conn.isIdle"),))


class Npm:
    """The registry has one version; installing writes it down."""

    def __init__(self, newest: str) -> None:
        self.newest = newest
        self.asked: list[str] = []

    def __call__(self, directory: Path, *arguments: str) -> str:
        self.asked.append(arguments[0])
        if arguments[0] == "view":
            return self.newest
        if arguments[0] == "install":
            write(directory, arguments[-1].rpartition("@")[2])
        return ""


def write(directory: Path, version: str) -> None:
    for name in ("package.json", "package-lock.json"):
        (directory / name).write_text(json.dumps({"dependencies": {PACKAGE: version}}))


def version_in(directory: Path) -> set[str]:
    names = ("package.json", "package-lock.json")
    return {json.loads((directory / name).read_text())["dependencies"][PACKAGE] for name in names}


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    write(tmp_path, "4.6.0")
    return tmp_path


def test_a_version_that_keeps_the_contract_is_taken(runner: Path) -> None:
    npm, said, tried = Npm("4.7.0"), list[str](), list[Path]()

    def try_out(bundle: Path) -> Verdict:
        tried.append(bundle)
        return GOOD

    assert update(runner, "latest", npm, try_out, said.append) == 0
    assert version_in(runner) == {"4.7.0"}
    assert npm.asked == ["view", "install", "ci"]
    assert str(tried[0]).endswith(str(BUNDLE)) and runner not in tried[0].parents
    assert said[0].startswith("wa-js 4.6.0 → 4.7.0\n  contract: 60 passed, 0 failed")


@pytest.mark.parametrize("verdict", [BAD, Verdict(0), Verdict(0, error="the contract tests did not start")])
def test_anything_else_changes_nothing(runner: Path, verdict: Verdict) -> None:
    npm = Npm("4.7.0")
    assert update(runner, "latest", npm, lambda _bundle: verdict, lambda _line: None) == 1
    assert version_in(runner) == {"4.6.0"}
    assert "ci" not in npm.asked


def test_the_report_names_what_failed_and_what_is_missing(runner: Path) -> None:
    said: list[str] = []
    update(runner, "latest", Npm("4.7.0"), lambda _bundle: BAD, said.append)
    assert f"failed: {LACKING}" in said[0]
    assert said[0].endswith("missing functions: chat.find, conn.isIdle")


def test_the_newest_is_not_tried_again(runner: Path) -> None:
    npm = Npm("4.6.0")
    assert update(runner, "latest", npm, lambda _bundle: BAD, lambda _line: None) == 0
    assert npm.asked == ["view"]


def test_the_verdict_is_pytests_own(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    results.write_text(
        '<testsuites><testsuite><testcase name="a"/>'
        '<testcase name="b"><failure message="first line&#10;second"/></testcase>'
        '<testcase name="c"><error message="no browser"/></testcase></testsuite></testsuites>'
    )
    assert verdict_of(results) == Verdict(1, (("b", "first line"), ("c", "no browser")))
