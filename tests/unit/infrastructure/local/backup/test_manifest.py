"""The manifest: each file with its digest, and a sentence for everything that is not as it says."""

import json
from pathlib import Path

import pytest

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.manifest import MANIFEST, check, describe, digest_of, in_words


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, content in {"a": "x", "ministack/s3/b": "y" * 3_000_000, "empty": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    describe(tmp_path, commit="0123456789ab", taken_at=5).write(tmp_path)
    return tmp_path


def test_every_file_is_described_and_checked(directory: Path) -> None:
    manifest = check(directory)
    assert manifest == describe(directory, commit="0123456789ab", taken_at=5)
    assert sorted(manifest.files) == ["a", "empty", "ministack/s3/b"]
    assert manifest.files["ministack/s3/b"] == digest_of(directory / "ministack/s3/b")
    assert manifest.files["ministack/s3/b"].size_bytes == 3_000_000


def test_every_difference_is_named(directory: Path) -> None:
    (directory / "a").write_text("z")
    with pytest.raises(BackupFailed, match="the digest of a differs"):
        check(directory)
    (directory / "a").unlink()
    with pytest.raises(BackupFailed, match="a is missing"):
        check(directory)
    (directory / "a").write_text("x")
    (directory / "more").touch()
    with pytest.raises(BackupFailed, match="does not know more"):
        check(directory)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"format": "x"}', "\x00"])
def test_a_directory_without_a_manifest_is_no_backup(directory: Path, content: str | None) -> None:
    (directory / MANIFEST).unlink() if content is None else (directory / MANIFEST).write_text(content)
    with pytest.raises(BackupFailed, match="no backup of Answerline"):
        check(directory)


@pytest.mark.parametrize("change", [{"files": None}, {"files": {"a": {}}}, {"files": ["a"]}, {"taken_at": "soon"}])
def test_an_incomplete_manifest_is_damaged(directory: Path, change: dict[str, object]) -> None:
    stored = json.loads((directory / MANIFEST).read_text())
    (directory / MANIFEST).write_text(json.dumps({**stored, **change}))
    with pytest.raises(BackupFailed, match="its manifest is incomplete"):
        check(directory)


@pytest.mark.parametrize("format", [1, 3, 99])
def test_another_format_names_the_release_that_reads_it(directory: Path, format: int) -> None:
    stored = json.loads((directory / MANIFEST).read_text())
    (directory / MANIFEST).write_text(json.dumps({**stored, "format": format}))
    with pytest.raises(BackupFailed, match=rf"has format {format}, .*\(0123456789ab\), restore there"):
        check(directory)


@pytest.mark.parametrize(
    ("size_bytes", "words"), [(0, "0.0 kB"), (8_532, "8.5 kB"), (12_345_678, "12.3 MB"), (1_400_000_000, "1.4 GB")]
)
def test_a_size_in_words(size_bytes: int, words: str) -> None:
    assert in_words(size_bytes) == words
