"""The backups of releases before the table had a file of its own: `.tar.gz`, not sealed, with whole checkpoints."""

import tarfile
from pathlib import Path
from typing import Final

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.archive import unpack_into
from infrastructure.local.backup.manifest import Manifest

SUFFIX: Final = ".tar.gz"
FORMAT: Final = 1
#: In the data directory: what makes an archive one of these.
CHECKPOINTS: Final = Path("ministack") / "generations"


def unpack(file: Path, directory: Path) -> Manifest:
    """Unpacks a former backup, whose checkpoint has digests of its own; raises :class:`BackupFailed`."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            members = archive.getmembers()
            unpack_into(directory, archive)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BackupFailed(f"{file.name} cannot be unpacked: {error}.") from None
    if not (directory / CHECKPOINTS).is_dir():
        raise BackupFailed(f"{file.name} is no backup of Answerline: it holds no checkpoint.")
    taken_at = max((int(member.mtime) for member in members), default=0) * 1000
    return Manifest(FORMAT, "before November 2026", taken_at, {})
