"""The files below a directory, hashed apart from the code that archives them."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

from runner.profile.manifest import ArchivedFile

CHROMIUM_DATABASE = "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb"


def make_profile(directory: Path) -> Path:
    """Writes the files of a browser, as far as they matter; one table of LevelDB is long complete."""
    files = {
        f"{CHROMIUM_DATABASE}/000003.log": b"keys " * 1000,
        f"{CHROMIUM_DATABASE}/CURRENT": b"MANIFEST-000001\n",
        f"{CHROMIUM_DATABASE}/LOCK": b"",
        f"{CHROMIUM_DATABASE}/LOG": b"log",
        "Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.blob/1/00/2": random.Random(1).randbytes(3_000_000),
        "Default/Local Storage/leveldb/000004.ldb": b"wid",
        "Default/Local Storage/leveldb/empty": b"",
        "Default/Cache/Cache_Data/data_0": b"c" * 1000,
        "Local State": b"{}",
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (directory / CHROMIUM_DATABASE / "link").symlink_to("/etc/passwd")
    return directory


def list_files(directory: Path) -> list[ArchivedFile]:
    """Returns every file below a directory, in order, with its hash."""
    return [
        ArchivedFile(
            path=path.relative_to(directory).as_posix(),
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]
