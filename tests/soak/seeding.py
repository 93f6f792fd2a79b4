"""Fills a one-machine stack with a month of many clients; resumes where it stopped."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path

from boto3.dynamodb.types import TypeSerializer

from chalicelib.store.table import Item
from chalicelib.wiring import Services
from infrastructure.local.stack import LocalStack, local_stack
from infrastructure.local.table.items import StoredItem, write_items
from tests.chaos.lines import services_of
from tests.soak.month import Month, copy_for, snapshot_body
from tests.soak.plan import Size, client_id

#: So many months are recorded; the other clients are copies of these under other names.
RECORDED = 4
#: Clients that are written at the same time.
WRITERS = 3

#: Lies in the data directory once every client is there.
COMPLETE = "complete"

_serialize = TypeSerializer().serialize


def seed(data: Path, size: Size, report: Callable[[str], None]) -> None:
    """Writes every client that is not there yet."""
    complete = data / COMPLETE
    if complete.exists():
        return
    with local_stack(data, simulators=(), runners=0, report=lambda text: None) as stack:
        services = services_of(stack)
        missing = [number for number in range(1, size.clients + 1) if not _is_there(services, number)]
        for number in sorted({_source(number) for number in missing}):
            _record(number, size.days, size.messages_per_day)
            report(f"recorded month {number} of {min(RECORDED, size.clients)}")
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="seed") as pool:
            writing = [pool.submit(_write, stack, services, size, number) for number in missing]
            for count, done in enumerate(as_completed(writing), 1):
                done.result()
                if count % 5 == 0:
                    report(f"{count} of {len(missing)} clients are written")
        # Nobody took these lines meanwhile, so that the control plane asked for more and more runners.
        services.fleet.set_desired(-(-size.clients // stack.settings.runner_capacity))
    complete.touch()


def _source(number: int) -> int:
    """Returns the number of the recorded client of which this one is a copy, or the recorded one."""
    return (number - 1) % RECORDED + 1


def _is_there(services: Services, number: int) -> bool:
    return services.table.get(f"TENANT#{client_id(number)}", "TENANT") is not None


@cache
def _record(number: int, days: int, messages_per_day: int) -> str:
    """Returns the items of a month that ends now, as JSON; what the application logs of it is left out."""
    end = round(time.time() * 1000)
    logging.disable(logging.CRITICAL)
    try:
        return json.dumps(list(Month(number, Size(1, days, messages_per_day), end, seed=number).record()))
    finally:
        logging.disable(logging.NOTSET)


def _write(stack: LocalStack, services: Services, size: Size, number: int) -> None:
    """Writes one client; its tenant's item comes last, so that a client that is there is complete."""
    key = services.key_encryption.encrypt(client_id(number), f"sk-soak-{number:03d}")
    source = _source(number)
    items = _record(source, size.days, size.messages_per_day)
    copied = copy_for(items, source, number, sealed_key=key)
    for item in copied:
        for version in item.get("snapshots", ()):
            body = snapshot_body(version["sequence"])
            stack.client("s3").put_object(Bucket=stack.created.bucket, Key=version["key"], Body=body)
    write_items(stack.client("dynamodb"), stack.created.table, _in_order(copied))


def _in_order(items: Iterable[Item]) -> Iterator[StoredItem]:
    """Yields the items in DynamoDB's JSON, the tenant's own last."""
    for item in sorted(items, key=lambda item: item["sk"] == "TENANT"):
        yield {name: _serialize(value) for name, value in item.items()}
