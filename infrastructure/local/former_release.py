"""Takes over the data of a release that kept the table in MiniStack too, at the first start after the upgrade.

The steps: mark that it began; load the former state into MiniStack, which writes it as states of today; copy the table;
rename the former directory; remove the mark. Until the rename the former directory is untouched and alone counts: an
interrupted attempt is thrown away, and made again from its start.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from botocore.exceptions import ClientError

from infrastructure.local import durable_file, recovery
from infrastructure.local.emulator.former_state import (
    DIRECTORY,
    TAKEN_OVER,
    Checkpoint,
    FormerStateUnreadable,
    newest_checkpoint,
)
from infrastructure.local.programs import Programs
from infrastructure.local.settings import CannotStart, Settings
from infrastructure.local.table.items import copy_items, count_items

#: The mark that the data of today is an unfinished copy, in MiniStack's directory.
BEGUN = "taking-over"


class Step(StrEnum):
    """The next step of a start with a former release's data."""

    NOTHING = "nothing"  #: there is none, or it was taken over
    TAKE_OVER = "take over"  #: from the start, and away with an unfinished copy
    END = "end"  #: only the mark is left
    REFUSE = "refuse"  #: there is a table beside it, of which nobody knows which is newer


def next_step(*, former: bool, begun: bool, table: bool) -> Step:
    """Returns what to do.

    Args:
        former: there is a former release's state.
        begun: a take-over began, and did not end.
        table: there is a table of today.
    """
    if not former:
        return Step.END if begun else Step.NOTHING
    return Step.REFUSE if table and not begun else Step.TAKE_OVER


class FormerRelease:
    """The data of a former release in a data directory.

    Args:
        ensure_resources: makes what the table and MiniStack lack.
    """

    def __init__(
        self,
        settings: Settings,
        programs: Programs,
        ensure_resources: Callable[[], object],
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._programs = programs
        self._ensure_resources = ensure_resources
        self._report = report
        self._ministack = settings.data / "ministack"
        self._mark = self._ministack / BEGUN
        self._table = settings.data / "table"

    def take_over(self) -> None:
        """Does what is left to do; afterwards no store runs. Raises :class:`CannotStart`."""
        try:
            checkpoint = newest_checkpoint(self._ministack / DIRECTORY)
        except FormerStateUnreadable as error:
            raise CannotStart(str(error)) from None
        step = next_step(former=checkpoint is not None, begun=self._mark.exists(), table=self._table.exists())
        if step is Step.REFUSE:
            raise CannotStart(
                f"{self._ministack / DIRECTORY} holds a former release's data, and {self._table} newer data: move the "
                "one away that shall not count."
            )
        if step is Step.TAKE_OVER and checkpoint is not None:
            self._copy(checkpoint)
            durable_file.rename(self._ministack / DIRECTORY, self._ministack / TAKEN_OVER)
        if step is not Step.NOTHING:
            durable_file.remove(self._mark)

    def _copy(self, checkpoint: Checkpoint) -> None:
        durable_file.write(self._mark, b"")
        for unfinished in (self._table, self._ministack / "state"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self._programs.start_table()
        self._programs.start_ministack(former=True)
        self._ensure_resources()
        aws, name = self._programs.aws, self._settings.stack
        former = replace(aws, table_endpoint=aws.endpoint)
        try:
            copied = copy_items(former.client("dynamodb"), aws.client("dynamodb"), name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            copied = 0  # it never came to its table
        if (found := count_items(aws.client("dynamodb"), name)) != copied:
            raise CannotStart(f"{found} of {copied} items of the former release's table were copied: start again.")
        self._programs.stop()
        if not checkpoint.is_last_word:
            recovery.mark_restored(self._settings.data)
        self._report(
            f"the data of the former release was taken over ({copied} items); its files stay in "
            f"{self._ministack / TAKEN_OVER}, which may be removed"
        )
