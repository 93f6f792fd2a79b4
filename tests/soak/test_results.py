"""Figures are kept from run to run, until the code that they measured is another one."""

from pathlib import Path

from tests.soak.results import Results, fingerprint


def test_figures_are_found_again_by_the_next_run_of_the_same_code(tmp_path: Path) -> None:
    file = tmp_path / "build" / "soak.json"
    Results(file, "a").keep("5x30x100", "start", {"median_seconds": 5.0})
    Results(file, "a").keep("5x30x100", "rest", {"items": 3})
    again = Results(file, "a")
    assert (again.get("5x30x100", "start") or {})["median_seconds"] == 5.0
    assert (again.get("5x30x100", "rest") or {})["items"] == 3
    assert again.get("50x30x100", "start") is None
    assert again.get("5x30x100", "browsers") is None


def test_figures_of_other_code_are_measured_again(tmp_path: Path) -> None:
    Results(tmp_path / "soak.json", "a").keep("5x30x100", "start", {})
    assert Results(tmp_path / "soak.json", "b").get("5x30x100", "start") is None


def test_a_damaged_file_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "soak.json").write_text("{")
    assert Results(tmp_path / "soak.json", "a").get("5x30x100", "start") is None


def test_the_fingerprint_changes_with_each_file_that_is_measured(tmp_path: Path) -> None:
    module = tmp_path / "infrastructure" / "local" / "stack.py"
    module.parent.mkdir(parents=True)
    module.write_text("one")
    first = fingerprint(tmp_path)
    module.write_text("two")
    second = fingerprint(tmp_path)
    (tmp_path / "chalice_app").mkdir()
    (tmp_path / "chalice_app" / "page.html").write_text("<p>")
    assert len({first, second, fingerprint(tmp_path)}) == 3
    (tmp_path / "chalice_app" / "picture.png").write_bytes(b"")
    assert fingerprint(tmp_path) != second
