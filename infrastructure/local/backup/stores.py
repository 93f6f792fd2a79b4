"""The stores of one machine alone, on any data directory, without application and runners."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from botocore.exceptions import ClientError

from infrastructure.checks import State
from infrastructure.doctor import lines
from infrastructure.local import preflight, resources
from infrastructure.local.aws import Aws
from infrastructure.local.backup import BackupFailed
from infrastructure.local.former_release import FormerRelease
from infrastructure.local.programs import Programs
from infrastructure.local.settings import Ports, Settings


@contextmanager
def running_stores(settings: Settings) -> Iterator[Aws]:
    """Starts the table and MiniStack on the data, on free ports, and stops them at the end. Raises CannotStart.

    Data of a former release is taken over first, as at a start of the stack.
    """
    preflight.check_ministack()
    programs = Programs(replace(settings, ports=Ports.free()))

    def ensure_resources() -> None:
        resources.ensure(
            programs.aws,
            settings.stack,
            base_url=settings.base_url,
            mail_from=settings.mail_from,
            runners=settings.runners,
        )

    try:
        FormerRelease(settings, programs, ensure_resources, lambda line: None).take_over()
        programs.start_table()
        programs.start_ministack()
        yield programs.aws
    finally:
        programs.stop()


def check_stores(aws: Aws, stack: str) -> tuple[int, list[str]]:
    """Checks that the stores answer and have the KMS key; raises :class:`BackupFailed` without it.

    Returns the number of tenants, and a sentence for each whose OpenAI key the KMS key does not decrypt.
    """
    read = lines.read(aws.client("dynamodb"), stack, time.time_ns() // 1_000_000, time.sleep)
    if not read.tenants:
        return 0, []
    try:
        results = lines.check_secrets(aws.client("kms"), f"alias/{stack}", read)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        raise BackupFailed(f"The backup lacks the KMS key of its tenants ({code}). Restore another one.") from None
    found = [f"{result.subject.strip()}: {result.fix}." for result in results if result.state is State.BAD]
    return len(read.tenants), found
