"""dynoxide is the program that was given, npm's package, or the one on the path; without one a sentence says how."""

from pathlib import Path

import pytest

from infrastructure.local.settings import CannotStart
from infrastructure.local.table.program import find_dynoxide


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"given", "package", "path"}, "given"),
        ({"package", "path"}, "package"),
        ({"path"}, "path"),
    ],
)
def test_the_first_of_setting_package_and_path_is_taken(tmp_path: Path, there: set[str], found: str) -> None:
    places = {
        "given": tmp_path / "own" / "dynoxide-1.2.1",
        "package": tmp_path / "@dynoxide" / "linux-x64" / "dynoxide",
        "path": tmp_path / "bin" / "dynoxide",
    }
    for name in there:
        program(places[name])
    given = str(places["given"]) if "given" in there else None
    environment = {"PATH": str(tmp_path / "bin")}
    assert find_dynoxide(given, packages=tmp_path / "@dynoxide", environment=environment) == places[found]


@pytest.mark.parametrize("mode", [None, 0o644])
def test_without_a_program_the_sentence_says_how_to_get_one(tmp_path: Path, mode: int | None) -> None:
    if mode is not None:
        program(tmp_path / "@dynoxide" / "linux-x64" / "dynoxide", mode)
    with pytest.raises(CannotStart, match=r"run `make install`.*cargo install dynoxide-rs.*DYNOXIDE="):
        find_dynoxide(None, packages=tmp_path / "@dynoxide", environment={"PATH": ""})


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_given_path_that_is_no_program_is_named(tmp_path: Path, mode: int | None) -> None:
    given = tmp_path / "dynoxide"
    if mode is not None:
        program(given, mode)
    with pytest.raises(CannotStart, match=f"DYNOXIDE={given} is not a program"):
        find_dynoxide(str(given))
