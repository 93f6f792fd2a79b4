"""The ledger of deletions: which tenants were deleted for good, so that no backup from before brings one back.

A deletion is an object of the bucket, ``deletions/<tenant>``. It is copied to the place of the backups, where it is
newer than any backup. A tenant's id is a hash that says nothing of the client, and is never given again.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.names import is_ledger
from infrastructure.local.backup.places import Place

#: The prefix of the objects.
DELETIONS: Final = "deletions/"
_OBJECTS: Final = Path("ministack") / "s3"


@dataclass(frozen=True, slots=True, order=True)
class Deletion:
    """A tenant that was deleted for good."""

    tenant: str
    #: epoch milliseconds
    deleted_at: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """A set of deletions."""

    deletions: frozenset[Deletion] = frozenset()

    @classmethod
    def of_data(cls, data: Path) -> "Ledger":
        """Reads the objects of a data directory, whether a stack runs on it or not."""
        found = (data / _OBJECTS).glob(f"*/*/{DELETIONS}*")
        objects = [path for path in found if path.is_file() and path.suffix not in (".json", ".tmp")]
        return cls(frozenset(_parse(path.read_bytes(), str(path)) for path in objects))

    @classmethod
    def of_place(cls, place: Place, name: str) -> "Ledger":
        """Reads the ledger that was copied to a place."""
        chunks: list[bytes] = []
        place.read(name, chunks.append)
        return cls.of_bytes(b"".join(chunks), f"{place.label}/{name}")

    @classmethod
    def of_bytes(cls, content: bytes, where: str) -> "Ledger":
        """Parses JSON lines; raises :class:`BackupFailed` with ``where`` it is that they cannot be read."""
        return cls(frozenset(_parse(line, where) for line in content.splitlines() if line.strip()))

    def to_bytes(self) -> bytes:
        """Returns JSON lines, always the same for the same deletions."""
        lines = [json.dumps({"tenant": each.tenant, "deleted_at": each.deleted_at}) for each in sorted(self.deletions)]
        return "".join(f"{line}\n" for line in lines).encode()

    @property
    def sha256(self) -> str:
        """Returns the digest of the deletions."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def tenants(self) -> frozenset[str]:
        """Returns who was deleted."""
        return frozenset(each.tenant for each in self.deletions)

    def __or__(self, other: "Ledger") -> "Ledger":
        return Ledger(self.deletions | other.deletions)


def ledgers_of(place: Place) -> list[Ledger]:
    """Reads every ledger of a place: deletions of another installation name nobody here."""
    return [Ledger.of_place(place, name) for name in place.names() if is_ledger(name)]


def union(ledgers: Iterable[Ledger]) -> Ledger:
    """Returns the deletions of all ledgers."""
    return Ledger(frozenset(deletion for ledger in ledgers for deletion in ledger.deletions))


def _parse(line: bytes, where: str) -> Deletion:
    try:
        stored = json.loads(line)
        return Deletion(str(stored["tenant"]), int(stored["deleted_at"]))
    except (ValueError, KeyError, TypeError):
        raise BackupFailed(f"The ledger of deletions {where} is damaged: a deleted client could come back.") from None
