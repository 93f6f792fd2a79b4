"""`make export` and `make import`: the table of this machine as a file of plain items, and back."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.checks import counted
from infrastructure.local import recovery, resources
from infrastructure.local.aws import Aws
from infrastructure.local.preflight import lock_data_directory
from infrastructure.local.programs import Programs
from infrastructure.local.service.installation import keeper_of
from infrastructure.local.service.installed import commands_of
from infrastructure.local.service.rights import as_caller, as_holder
from infrastructure.local.settings import CannotStart, Ports, Settings
from infrastructure.local.table.export import NotAnItem, export_items, import_items
from infrastructure.local.table.items import ItemsLeftOut, count_items


def export_table(settings: Settings, file: Path) -> str:
    """Exports the table, whether the stack runs or not; returns a sentence for the operator."""
    if not (settings.data / "table").is_dir():
        raise CannotStart(f"{settings.data} holds no table of Answerline.")
    with as_holder(settings.data), contextlib.ExitStack() as stack:
        aws = _running(settings.data) or stack.enter_context(_started(settings))
        try:
            with as_caller():
                count = export_items(aws.client("dynamodb"), settings.stack, file)
        except (OSError, ClientError, BotoCoreError) as error:
            raise CannotStart(f"The table could not be exported: {error}.") from error
    megabytes = file.stat().st_size / 1e6
    return f"{file}: {counted(count, 'item')}, {megabytes:.1f} MB. It holds what contacts wrote: keep it safe."


def import_table(settings: Settings, file: Path) -> str:
    """Imports a file into the empty table of a stopped stack; returns a sentence for the operator."""
    if not file.is_file():
        raise CannotStart(f"There is no file {file}.")
    with as_holder(settings.data, made_for=keeper_of(settings.data, os.environ)), _started(settings) as aws:
        client = aws.client("dynamodb")
        table = resources.ensure_table(aws, settings.stack)
        if present := count_items(client, table):
            raise CannotStart(
                f"The table in {settings.data} holds {present} items, and an import needs an empty one: move"
                f" {settings.data / 'table'} away first. Nothing was changed."
            )
        # The runners may have done more since the export than it knows.
        recovery.mark_restored(settings.data)
        try:
            with as_caller():
                count = import_items(client, table, file)
        except NotAnItem as error:
            raise CannotStart(f"{file}: {error}. Nothing was imported.") from error
        except (OSError, ClientError, BotoCoreError, ItemsLeftOut) as error:
            raise CannotStart(
                f"The import ended early, after {count_items(client, table)} items ({error}): remove"
                f" {settings.data / 'table'}, and import again."
            ) from error
    start = commands_of(settings.data).start
    return f"{settings.data}: {counted(count, 'item')} imported; {start} starts with them."


def _running(data: Path) -> Aws | None:
    """Returns the access to a running stack's table; None if no stack runs."""
    try:
        os.close(lock_data_directory(data))
    except CannotStart:
        try:
            return Aws(**json.loads((data / "stack.json").read_text())["aws"])
        except (OSError, ValueError, KeyError):
            raise CannotStart(f"The stack on {data} is starting or stopping: try again in a moment.") from None
    return None


@contextlib.contextmanager
def _started(settings: Settings) -> Iterator[Aws]:
    """Starts the table alone, for as long as the context lasts. Raises CannotStart if the stack runs."""
    lock = lock_data_directory(settings.data)
    programs = Programs(replace(settings, ports=Ports.free()))
    try:
        programs.start_table()
        yield programs.aws
    finally:
        programs.stop()
        os.close(lock)
