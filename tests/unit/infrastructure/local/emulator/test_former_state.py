"""A former release's checkpoints: the newest that is whole is taken, and a damaged one never silently."""

import hashlib
import json
from pathlib import Path

import pytest

from infrastructure.local.emulator.former_state import Checkpoint, FormerStateUnreadable, newest_checkpoint


def write_checkpoint(generations: Path, number: int) -> Path:
    """Writes a checkpoint as the releases until 9b14d5c did."""
    directory = generations / f"{number:012d}"
    directory.mkdir(parents=True)
    digests = {}
    for name in ("kms.json", "dynamodb.json"):
        content = json.dumps({"of": number, "in": name}).encode()
        (directory / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    (directory / "manifest.json").write_text(json.dumps({"files": digests}, indent=1))
    return directory


FILES = ("kms.json", "dynamodb.json")


def test_the_newest_is_taken_by_its_number(tmp_path: Path) -> None:
    for number in (9, 10, 8):
        write_checkpoint(tmp_path, number)
    (tmp_path / "unfinished-123").mkdir()
    (tmp_path / "aside-11").mkdir()
    newest = tmp_path / "000000000010"
    assert newest_checkpoint(tmp_path) == Checkpoint(newest, FILES, is_last_word=False)
    (tmp_path / "clean-stop").touch()
    assert newest_checkpoint(tmp_path) == Checkpoint(newest, FILES, is_last_word=True)


@pytest.mark.parametrize("missing", [True, False])
def test_there_is_nothing_before_the_first_checkpoint(tmp_path: Path, missing: bool) -> None:
    assert newest_checkpoint(tmp_path / "missing" if missing else tmp_path) is None


DAMAGES = [
    *("not JSON", "a byte", "gone", "no manifest", "manifest of half", "manifest of nothing"),
    *("manifest without files", "manifest is a list"),
]


def damage(directory: Path, how: str) -> None:
    kms, manifest = directory / "kms.json", directory / "manifest.json"
    match how:
        case "not JSON":
            kms.write_text("{")
        case "a byte":
            kms.write_bytes(kms.read_bytes().replace(b"of", b"oF"))
        case "gone":
            kms.unlink()
        case "no manifest":
            manifest.unlink()
        case "manifest of half":
            manifest.write_text(manifest.read_text()[:20])
        case "manifest without files":
            manifest.write_text('{"files": {}}')
        case "manifest of nothing":
            manifest.write_text("{}")
        case _:
            manifest.write_text('[1, "files"]')


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_passed_over_and_the_older_one_is_not_the_last_word(tmp_path: Path, how: str) -> None:
    older, newer = write_checkpoint(tmp_path, 1), write_checkpoint(tmp_path, 2)
    (tmp_path / "clean-stop").touch()
    damage(newer, how)
    assert newest_checkpoint(tmp_path) == Checkpoint(older, FILES, is_last_word=False)


@pytest.mark.parametrize("how", DAMAGES)
def test_without_a_whole_one_nothing_is_taken(tmp_path: Path, how: str) -> None:
    damage(write_checkpoint(tmp_path, 1), how)
    with pytest.raises(FormerStateUnreadable, match=r"No checkpoint in .* is whole.*make restore FROM="):
        newest_checkpoint(tmp_path)
