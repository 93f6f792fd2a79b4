"""`python -m infrastructure.local.backup WORK DATA STACK COMMIT`: one backup to BACKUP_TO, or its ledger of deletions.

The stack starts it as a process of its own: what a backup takes of memory is given back when it ends.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from infrastructure.local.backup import BackupFailed
from infrastructure.local.backup.job import Backups
from infrastructure.local.backup.manifest import in_words
from infrastructure.local.backup.places import open_place

#: The lines have precedence.
NICENESS = 10


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Returns 0 after a backup; else 1, with one sentence on standard error."""
    work, data, stack, commit = arguments
    os.nice(NICENESS)
    backups = Backups(Path(data), stack, commit, lambda: time.time_ns() // 1_000_000)
    try:
        place = open_place(environment["BACKUP_TO"], environment)
        status = backups.keep(place) if work == "backup" else backups.keep_ledger(place)
    except BackupFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{place.label}/{status.name}: {in_words(status.size_bytes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
