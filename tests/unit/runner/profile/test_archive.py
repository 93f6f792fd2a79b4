"""A packed profile is unpacked completely or not at all, also from a hostile archive."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from runner.profile.archive import (
    MANIFEST,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    ArchivedFile,
    ChromiumTooOld,
    CopyStopped,
    ExpectedArchive,
    Manifest,
    PackedArchive,
    SnapshotDamaged,
    copy_profile,
    fingerprint,
    is_older,
    list_files,
    pack,
    unpack,
)

TENANT = "tenant00001"
DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"
CHROMIUM = "156.0.7900.1"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The files of a browser, as far as they matter."""
    files = {
        f"{DATABASE}/000003.log": b"keys " * 1000,
        f"{DATABASE}/CURRENT": b"MANIFEST-000001\n",
        f"{DATABASE}/LOCK": b"",
        f"{DATABASE}/LOG": b"log",
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/2": random.Random(1).randbytes(3_000_000),
        "Default/Local Storage/leveldb/000004.ldb": b"wid",
        "Default/Local Storage/leveldb/empty": b"",
        "Default/Cache/Cache_Data/data_0": b"c" * 1000,
        "Local State": b"{}",
    }
    for name, content in files.items():
        path = tmp_path / "profile" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "profile" / DATABASE / "link").symlink_to("/etc/passwd")
    return tmp_path / "profile"


def packed(directory: Path, into: Path, **more: object) -> PackedArchive:
    manifest = Manifest.model_validate(
        {
            "tenant": TENANT,
            "epoch": 5,
            "sequence": 2,
            "chromium": CHROMIUM,
            "wa_js": "4.6.0",
            "files": list_files(directory),
            **more,
        }
    )
    return pack(directory, manifest, into)


def expected(archive: Path, **more: object) -> ExpectedArchive:
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return ExpectedArchive(TENANT, 5, 2, sha256, CHROMIUM)._replace(**more)  # type: ignore[arg-type]


@pytest.fixture
def staged(profile: Path, tmp_path: Path) -> Path:
    staging = tmp_path / "staging"
    copy_profile(profile, staging, lambda: True)
    return staging


@pytest.fixture
def archive(staged: Path, tmp_path: Path) -> Path:
    return packed(staged, tmp_path / "archive").path


# -- packing and unpacking ---------------------------------------------------------------------------------------


def test_only_the_login_is_copied_without_locks_logs_links_or_caches(profile: Path, staged: Path) -> None:
    names = {each.path for each in list_files(staged)}
    assert names == {
        f"{DATABASE}/000003.log",
        f"{DATABASE}/CURRENT",
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/2",
        "Default/Local Storage/leveldb/000004.ldb",
        "Default/Local Storage/leveldb/empty",
    }
    assert all((staged / name).read_bytes() == (profile / name).read_bytes() for name in names)


def test_a_file_system_that_cannot_copy_within_itself_is_copied_by_hand(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    copy_profile(profile, tmp_path / "staging", lambda: True)
    assert (tmp_path / "staging" / DATABASE / "000003.log").read_bytes() == b"keys " * 1000


def test_a_copy_that_takes_too_long_ends_at_the_next_step(profile: Path, tmp_path: Path) -> None:
    steps = iter([True, True, False])
    with pytest.raises(CopyStopped):
        copy_profile(profile, tmp_path / "staging", lambda: next(steps))


def test_a_packed_profile_is_unpacked_byte_for_byte(staged: Path, archive: Path, tmp_path: Path) -> None:
    manifest = unpack(archive, tmp_path / "back", expected(archive))
    assert (manifest.chromium, manifest.wa_js) == (CHROMIUM, "4.6.0")
    assert list_files(tmp_path / "back") == list_files(staged) == manifest.files
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "back" / DATABASE / "CURRENT").stat().st_mode & 0o777 == 0o600


def test_the_same_profile_has_the_same_fingerprint_and_the_same_archive(staged: Path, tmp_path: Path) -> None:
    first, second = packed(staged, tmp_path / "one"), packed(staged, tmp_path / "two")
    assert (first.sha256, first.size_bytes) == (second.sha256, second.size_bytes)
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    before = fingerprint(list_files(staged))
    assert fingerprint(list_files(staged)) == before
    (staged / DATABASE / "CURRENT").write_bytes(b"MANIFEST-000002\n")
    assert fingerprint(list_files(staged)) != before


# -- refused archives --------------------------------------------------------------------------------------------


def refused(archive: Path, into: Path, match: str, **more: object) -> None:
    with pytest.raises(SnapshotDamaged, match=match):
        unpack(archive, into, expected(archive, **more))
    assert not into.exists(), "nothing is left of a refused archive"


def test_one_flipped_bit_anywhere_is_found(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    committed = expected(archive)
    chance = random.Random(7)
    for _ in range(40):
        bad = bytearray(whole)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        archive.write_bytes(bad)
        with pytest.raises(SnapshotDamaged, match="not the one that was committed"):
            unpack(archive, tmp_path / "back", committed)


def test_a_flipped_bit_is_found_even_if_the_whole_was_committed_so(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    chance = random.Random(8)
    for _ in range(40):
        bad = bytearray(whole)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        archive.write_bytes(bad)
        refused(archive, tmp_path / "back", "archive")


@pytest.mark.parametrize("left", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_archive_is_refused(archive: Path, tmp_path: Path, left: float) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    refused(archive, tmp_path / "back", "archive")


@pytest.mark.parametrize(
    "other", [{"tenant": "tenant00002"}, {"epoch": 6}, {"sequence": 1}], ids=["tenant", "epoch", "sequence"]
)
def test_the_archive_of_another_session_is_refused(archive: Path, tmp_path: Path, other: dict[str, object]) -> None:
    refused(archive, tmp_path / "back", "another session", **other)


def test_an_older_chromium_does_not_open_the_archive_of_a_newer_one(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ChromiumTooOld):
        unpack(archive, tmp_path / "back", expected(archive, chromium="155.0.9999.9"))
    assert not (tmp_path / "back").exists()
    unpack(archive, tmp_path / "back", expected(archive, chromium="157.0.1.0"))
    assert is_older("9.1", "10.0")
    assert not is_older("156.0.1.1", "156.0.7900.1"), "an image may be rolled back within one milestone"


def hostile(into: Path, manifest: Manifest | bytes, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """An archive that an attacker with a runner's token made by hand."""
    description = manifest if isinstance(manifest, bytes) else manifest.model_dump_json().encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for info, content in ((member(MANIFEST, len(description)), description), *members):
            tar.addfile(info, io.BytesIO(content))
    into.write_bytes(zstandard.ZstdCompressor().compress(raw.getvalue()))
    return into


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


def naming(*paths: str, content: bytes = b"x", size: int | None = None) -> Manifest:
    sha256 = hashlib.sha256(content).hexdigest()
    length = len(content) if size is None else size
    files = [ArchivedFile.model_construct(path=path, size=length, sha256=sha256) for path in paths]
    return Manifest.model_construct(tenant=TENANT, epoch=5, sequence=2, chromium=CHROMIUM, wa_js="", files=files)


OURS = f"{DATABASE}/CURRENT"


@pytest.mark.parametrize(
    "path",
    [
        "../../../etc/cron.d/x",
        "/etc/cron.d/x",
        f"{DATABASE}/../../../../../x",
        "Default/IndexedDB/../../x",
        "Default/IndexedDB",
        "Default/IndexedDB/",
        "Default/IndexedDB//x",
        "Default/IndexedDB/./x",
        "Default/Cookies",
        "Default/IndexedDB2/x",
        "",
        "Default/IndexedDB/" + "x" * 300,
    ],
)
def test_no_path_leads_out_of_the_kept_directories(tmp_path: Path, path: str) -> None:
    archive = hostile(tmp_path / "archive", naming(path), (member(path, 1), b"x"))
    refused(archive, tmp_path / "back", "outside")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE]
)
def test_only_plain_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    archive = hostile(tmp_path / "archive", naming(OURS), (member(OURS, 0, kind, "/etc/passwd"), b""))
    refused(archive, tmp_path / "back", "no plain file")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([], "does not hold"),
        ([(member(OURS, 1), b"x"), (member("Default/IndexedDB/more", 1), b"x")], "holds more"),
        ([(member("Default/IndexedDB/other", 1), b"x")], "does not hold"),
        ([(member(OURS, 2), b"xx")], "does not hold"),
        ([(member(OURS, 1), b"y")], "not what its manifest says"),
    ],
    ids=["missing", "more", "another", "longer", "changed"],
)
def test_the_archive_holds_exactly_what_its_manifest_names(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], match: str
) -> None:
    refused(hostile(tmp_path / "archive", naming(OURS), *members), tmp_path / "back", match)


def test_a_file_that_is_also_a_directory_is_refused(tmp_path: Path) -> None:
    inner = f"{OURS}/inner"
    archive = hostile(tmp_path / "archive", naming(OURS, inner), (member(OURS, 1), b"x"), (member(inner, 1), b"x"))
    refused(archive, tmp_path / "back", "twice")
    archive = hostile(tmp_path / "archive", naming(OURS, OURS), (member(OURS, 1), b"x"), (member(OURS, 1), b"x"))
    refused(archive, tmp_path / "back", "twice")


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    # Small on the wire: gigabytes of zeros that the manifest announces, all within the size of one file.
    many = naming(*(f"Default/IndexedDB/{number}" for number in range(3)), size=1 << 30)
    refused(hostile(tmp_path / "archive", many), tmp_path / "back", "larger than any profile")
    one = naming(OURS, size=3 << 30)
    refused(hostile(tmp_path / "archive", one), tmp_path / "back", "cannot be read")
    crowd = naming(*(f"Default/IndexedDB/{number}" for number in range(MAX_FILES + 1)))
    refused(hostile(tmp_path / "archive", crowd), tmp_path / "back", "cannot be read")
    huge = b" " * (MAX_MANIFEST_BYTES + 1)
    refused(hostile(tmp_path / "archive", huge), tmp_path / "back", "does not begin with its manifest")


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{", b'{"tenant": 5}', b"\xff\xfe", b'{"files": ' + b"[" * 100_000], ids=range(6)
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, manifest: bytes) -> None:
    refused(hostile(tmp_path / "archive", manifest), tmp_path / "back", "cannot be read")


def test_a_full_disk_is_no_fault_of_the_archive(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really: Callable[..., int] = os.open

    def full(path: object, flags: int, *more: int, **named: int | None) -> int:
        if flags & os.O_EXCL:
            raise OSError(errno.ENOSPC, "no space left on device")
        return really(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="no space left"):
        unpack(archive, tmp_path / "back", expected(archive))
    assert not (tmp_path / "back").exists()
