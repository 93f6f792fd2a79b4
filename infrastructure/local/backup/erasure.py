"""The erasure of deleted tenants from one machine's data: items, objects, jobs, mails, profiles, journals.

It runs on the stores alone, while nothing else does: nothing comes in between, and a kill in the middle is no loss,
because the ledger is written first and the whole is done again.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from infrastructure.local.aws import Aws
from infrastructure.local.backup.data_copy import OUTBOX, RUNNERS
from infrastructure.local.backup.deletions import DELETIONS, Deletion, Ledger
from infrastructure.local.mail.relay import RELAYED
from infrastructure.local.table.items import scan_pages

#: DynamoDB and S3 delete at most so many at once.
MAX_ITEMS: Final = 25
MAX_OBJECTS: Final = 1_000


def record(aws: Aws, ledger: Ledger) -> None:
    """Stores each deletion as an object of the bucket, where it is not one yet."""
    s3 = aws.client("s3")
    for bucket in _buckets(s3):
        known = {key for key, _ in _versions(s3, bucket, DELETIONS)}
        for deletion in sorted(ledger.deletions):
            if (key := f"{DELETIONS}{deletion.tenant}") not in known:
                s3.put_object(Bucket=bucket, Key=key, Body=_line(deletion))


def erase(aws: Aws, table: str, data: Path, tenants: Collection[str]) -> int:
    """Erases everything of these tenants; returns how many of them were there."""
    if not tenants:
        return 0
    erased = _erase_items(aws.client("dynamodb"), table, tenants)
    s3 = aws.client("s3")
    for bucket in _buckets(s3):
        _erase_objects(s3, bucket, tenants)
    _empty_queues(aws.client("sqs"))
    _erase_mails(data / OUTBOX, tenants)
    for tenant in tenants:
        for home in (data / RUNNERS).glob(f"*/{tenant}"):
            shutil.rmtree(home)
    return len(erased)


def owner_of(item: dict[str, Any]) -> str | None:
    """Returns the tenant of an item, in DynamoDB's JSON; None for one of a runner, an operator or the fleet."""
    kind, _, rest = str(item["pk"]["S"]).partition("#")
    if kind in ("TENANT", "CHAT"):
        return rest.partition("#")[0]
    named = item.get("tenant", {}).get("S")
    return None if named is None else str(named)


def _erase_items(dynamodb: Any, table: str, tenants: Collection[str]) -> set[str]:
    found: set[str] = set()

    def keys() -> Iterator[dict[str, Any]]:
        pages = scan_pages(dynamodb, table, ProjectionExpression="pk, sk, tenant")
        for item in (item for page in pages for item in page["Items"]):
            if (owner := owner_of(item)) in tenants and owner is not None:
                found.add(owner)
                yield {"pk": item["pk"], "sk": item["sk"]}

    for batch in _batches(list(keys()), MAX_ITEMS):
        requests = [{"DeleteRequest": {"Key": key}} for key in batch]
        while requests:
            requests = dynamodb.batch_write_item(RequestItems={table: requests})["UnprocessedItems"].get(table, [])
    return found


def _erase_objects(s3: Any, bucket: str, tenants: Collection[str]) -> None:
    """Erases the objects ``<kind>/<tenant>/…``, each with all of its versions."""
    owned = (
        {"Key": key, "VersionId": version}
        for key, version in _versions(s3, bucket, "")
        if not key.startswith(DELETIONS) and any(part in tenants for part in key.split("/")[1:2])
    )
    for batch in _batches(list(owned), MAX_OBJECTS):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})


def _empty_queues(sqs: Any) -> None:
    """Removes all jobs: they name chats, and whatever a lost one was for is found again."""
    for url in sqs.list_queues().get("QueueUrls", ()):
        sqs.purge_queue(QueueUrl=url)


def _erase_mails(outbox: Path, tenants: Collection[str]) -> None:
    """Erases the mails about these tenants; a file that is no mail stays."""
    for file in outbox.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, AttributeError):
            mail = json.loads(file.read_bytes())
            if mail["tags"].get("tenant") in tenants:
                (outbox / RELAYED / str(mail["identifier"]).partition("@")[0]).unlink(missing_ok=True)
                file.unlink()


def _versions(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            yield str(each["Key"]), str(each["VersionId"])


def _buckets(s3: Any) -> list[str]:
    return [str(each["Name"]) for each in s3.list_buckets()["Buckets"]]


def _line(deletion: Deletion) -> bytes:
    return Ledger(frozenset({deletion})).to_bytes()


def _batches(values: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    waiting = iter(values)
    while batch := list(islice(waiting, size)):
        yield batch
