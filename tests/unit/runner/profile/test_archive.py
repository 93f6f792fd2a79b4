"""A packed profile is unpacked completely or not at all, also from a hostile archive."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from runner.profile.archive import (
    ChromiumTooOld,
    ExpectedArchive,
    LinkedFileChanged,
    PackedArchive,
    SnapshotDamaged,
    pack,
    unpack,
)
from runner.profile.manifest import (
    MANIFEST,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    ArchivedFile,
    Manifest,
    SnapshotTooLarge,
    fingerprint,
    is_older,
)
from runner.profile.staged_copy import copy_profile
from tests.unit.support.profile_files import CHROMIUM_DATABASE as DATABASE
from tests.unit.support.profile_files import list_files, make_profile

TENANT = "tenant00001"
CHROMIUM = "156.0.7900.1"
NOW_MS = 1_800_000_000_000


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return make_profile(tmp_path / "profile")


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
    return pack(directory, manifest.model_copy(update={"files": unhashed(manifest)}), into)


def unhashed(manifest: Manifest) -> list[ArchivedFile]:
    """The files as the staging names them: the packer reads and hashes them itself."""
    return [each.model_copy(update={"sha256": ""}) for each in manifest.files]


def expected(archive: Path, **more: object) -> ExpectedArchive:
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return ExpectedArchive(TENANT, 5, 2, sha256, CHROMIUM)._replace(**more)  # type: ignore[arg-type]


@pytest.fixture
def staged(profile: Path, tmp_path: Path) -> Path:
    staging = tmp_path / "staging"
    copy_profile(profile, staging, lambda: True, frozen_at_ms=NOW_MS)
    return staging


@pytest.fixture
def archive(staged: Path, tmp_path: Path) -> Path:
    return packed(staged, tmp_path / "archive").path


# -- packing and unpacking ---------------------------------------------------------------------------------------


def test_a_packed_profile_is_unpacked_byte_for_byte(staged: Path, archive: Path, tmp_path: Path) -> None:
    manifest = unpack(archive, tmp_path / "back", expected(archive))
    assert (manifest.chromium, manifest.wa_js) == (CHROMIUM, "4.6.0")
    assert list_files(tmp_path / "back") == list_files(staged)
    assert {each.path: each for each in manifest.files} == {each.path: each for each in list_files(staged)}
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "back" / DATABASE / "CURRENT").stat().st_mode & 0o777 == 0o600


def test_the_same_profile_has_the_same_fingerprint_and_the_same_archive(staged: Path, tmp_path: Path) -> None:
    first, second = packed(staged, tmp_path / "one"), packed(staged, tmp_path / "two")
    assert (first.sha256, first.size_bytes) == (second.sha256, second.size_bytes)
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    before = fingerprint(list_files(staged))
    assert first.fingerprint == second.fingerprint == before
    (staged / DATABASE / "CURRENT").write_bytes(b"MANIFEST-000002\n")
    assert fingerprint(list_files(staged)) != before


def test_the_archive_is_one_that_any_reader_of_tar_and_zstd_knows(staged: Path, archive: Path, tmp_path: Path) -> None:
    """Runners of former releases read one frame, the manifest first, to its end."""
    with (
        archive.open("rb") as file,
        zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file) as reader,
        tarfile.open(fileobj=reader, mode="r|") as tar,
    ):
        names = []
        for each in tar:
            content = tar.extractfile(each)
            assert content is not None
            if each.name != MANIFEST:
                assert content.read() == (staged / each.name).read_bytes()
            names.append(each.name)
    assert names[0] == MANIFEST
    assert sorted(names[1:]) == [each.path for each in list_files(staged)]


@pytest.mark.thorough
@pytest.mark.parametrize("count", [0, 1, 700, 3_000])
def test_a_manifest_of_any_length_has_its_room(tmp_path: Path, count: int) -> None:
    """Up to several blocks of 128 KB."""
    many = tmp_path / "many" / "Default" / "IndexedDB"
    many.mkdir(parents=True)
    for number in range(count):
        (many / f"{number:06d}.ldb").write_bytes(str(number).encode() * number)
    archive = packed(tmp_path / "many", tmp_path / "archive").path
    manifest = unpack(archive, tmp_path / "back", expected(archive))
    assert list_files(tmp_path / "back") == list_files(tmp_path / "many") == manifest.files


def test_each_file_is_read_once(staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    really = Path.open

    def counting(path: Path, mode: str = "r", *more: Any) -> Any:
        if path.is_relative_to(staged):
            opened.append(path.relative_to(staged).as_posix())
        return really(path, mode, *more)

    files = [each.model_copy(update={"sha256": ""}) for each in list_files(staged)]
    manifest = Manifest(tenant=TENANT, epoch=5, sequence=2, chromium=CHROMIUM, files=files)
    monkeypatch.setattr(Path, "open", counting)
    pack(staged, manifest, tmp_path / "archive")
    assert sorted(opened) == [each.path for each in files]


# -- files that are linked to a live profile ---------------------------------------------------------------------


@pytest.mark.parametrize("change", ["grown", "shorter", "rewritten", "touched"])
def test_a_linked_file_that_changes_after_the_thaw_never_spoils_an_archive_silently(
    profile: Path, tmp_path: Path, change: str
) -> None:
    copy = copy_profile(profile, tmp_path / "staging", lambda: True, frozen_at_ms=NOW_MS)
    [name] = copy.linked
    live = profile / name
    content = live.read_bytes()
    if change == "touched":
        os.utime(live)
    else:
        live.write_bytes({"grown": content + b"more", "shorter": content[:-1], "rewritten": content[::-1]}[change])
    manifest = Manifest(tenant=TENANT, epoch=5, sequence=2, chromium=CHROMIUM, files=copy.files)
    with pytest.raises(LinkedFileChanged) as changed:
        pack(tmp_path / "staging", manifest, tmp_path / "archive", linked=copy.linked)
    assert changed.value.path == name


def test_a_linked_file_that_its_database_deletes_after_the_thaw_is_still_archived(
    profile: Path, tmp_path: Path
) -> None:
    copy = copy_profile(profile, tmp_path / "staging", lambda: True, frozen_at_ms=NOW_MS)
    [name] = copy.linked
    content = (profile / name).read_bytes()
    (profile / name).unlink()
    manifest = Manifest(tenant=TENANT, epoch=5, sequence=2, chromium=CHROMIUM, files=copy.files)
    archive = pack(tmp_path / "staging", manifest, tmp_path / "archive", linked=copy.linked).path
    unpack(archive, tmp_path / "back", expected(archive))
    assert (tmp_path / "back" / name).read_bytes() == content


@pytest.mark.parametrize("max_bytes", [1, 10_000, 2_999_999])
def test_an_archive_that_becomes_too_large_is_given_up_early(staged: Path, tmp_path: Path, max_bytes: int) -> None:
    manifest = Manifest(tenant=TENANT, epoch=5, sequence=2, chromium=CHROMIUM, files=list_files(staged))
    with pytest.raises(SnapshotTooLarge):
        pack(staged, manifest, tmp_path / "archive", max_bytes=max_bytes)
    assert (tmp_path / "archive").stat().st_size < max_bytes + (3 << 20)


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


@pytest.mark.thorough
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


def raw_name(name: bytes) -> tarfile.TarInfo:
    """A member whose name is not UTF-8."""
    return member(name.decode("utf-8", "surrogateescape"), 1)


LONG = "Default/IndexedDB/" + "\U0001f600" * 100
NESTED = b"[" * 200_000 + b"]" * 200_000


def claiming(chromium: str) -> bytes:
    return naming(OURS).model_copy(update={"chromium": chromium}).model_dump_json().encode()


@pytest.mark.parametrize(
    ("manifest", "members"),
    [
        (naming(OURS), [(raw_name(b"Default/IndexedDB/\xff\xfe"), b"x")]),
        (naming(LONG), [(member(LONG, 1), b"x")]),
        (naming(OURS).model_dump_json().encode().replace(b"CURRENT", rb"\ud800"), []),
        (naming(OURS).model_dump_json().encode().replace(b"CURRENT", b"\xff"), []),
        (naming("Default/IndexedDB/" + "d/" * 90 + "x"), []),
        (naming(OURS).model_dump_json().encode() + b"\0", [(member(OURS, 1), b"x")]),
        (b'{"tenant": "tenant00001", "epoch": 1e999}', []),
        (b'{"tenant": "tenant00001", "epoch": ' + b"9" * 6_000 + b"}", []),
        (NESTED, []),
        (b'{"files": ' + NESTED + b"}", []),
        *(
            (claiming(chromium), [(member(OURS, 1), b"x")])
            for chromium in ("²", "9999", "9" * 5_000, "157.0", "١٥٦", "", "156.0.7900.2", "-1", "1e9", "\n")
        ),
    ],
)
def test_whatever_is_wrong_with_an_archive_it_is_passed_over(
    tmp_path: Path, manifest: Manifest | bytes, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    archive = hostile(tmp_path / "archive", manifest, *members)
    refused(archive, tmp_path / "back", "archive", written_by=CHROMIUM)


def corrupted(content: bytes, how: str) -> bytes:
    """An archive that no tar or zstd wrote."""
    chance = random.Random(how)
    if how == "not zstd":
        return b"x" * 100
    if how == "a window of 2 GB":
        return content[:5] + b"\xa8" + content[6:]
    if how == "noise in a frame":
        return zstandard.ZstdCompressor().compress(chance.randbytes(5_000))
    if how == "a size that is no number":
        raw = bytearray(zstandard.ZstdDecompressor().decompressobj().decompress(content))
        raw[124:136] = b"not a number"
        return zstandard.ZstdCompressor().compress(bytes(raw))
    assert how == "a negative size"
    raw = bytearray(zstandard.ZstdDecompressor().decompressobj().decompress(content))
    raw[124:136] = b"\xff" * 12
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:512]))
    return zstandard.ZstdCompressor().compress(bytes(raw))


@pytest.mark.parametrize(
    "how", ["not zstd", "a window of 2 GB", "noise in a frame", "a size that is no number", "a negative size"]
)
def test_an_archive_that_no_packer_wrote_is_passed_over(archive: Path, tmp_path: Path, how: str) -> None:
    archive.write_bytes(corrupted(archive.read_bytes(), how))
    refused(archive, tmp_path / "back", "archive")


@pytest.mark.thorough
def test_noise_is_always_passed_over(archive: Path, tmp_path: Path) -> None:
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(archive.read_bytes())
    chance = random.Random(9)
    for _ in range(200):
        bad = bytearray(raw)
        at = chance.randrange(2_000)
        bad[at : at + chance.randrange(1, 40)] = chance.randbytes(chance.randrange(1, 40))
        archive.write_bytes(zstandard.ZstdCompressor(level=1).compress(bytes(bad)))
        try:
            unpack(archive, tmp_path / "back", expected(archive))
        except (SnapshotDamaged, ChromiumTooOld):
            assert not (tmp_path / "back").exists()
        else:
            shutil.rmtree(tmp_path / "back")  # a byte that means nothing


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
