"""Expiry of the table's items: deletes what expired, page by page, because the engine deletes nothing by itself."""

import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

#: The attribute that `resources.yaml` names as the time to live: epoch seconds.
EXPIRES_AT = "expires_at"
#: DynamoDB leaves an item alone that expired longer ago: such a number was never meant as a time.
OLDEST_SECONDS = 5 * 365 * 24 * 3600

#: The delay between the start and the first pass: a stack that never runs for an hour is swept, too.
FIRST_AFTER_SECONDS = 120.0
#: The interval between two passes.
PASS_EVERY_SECONDS = 3600.0
#: The items of one read, of which those that expired are deleted before the next read.
PAGE_ITEMS = 250
#: The pause after each page, in which the application has the table for itself.
PAGE_PAUSE_SECONDS = 0.05
#: The wait for the thread's end: no longer than one request with its retries.
STOP_TIMEOUT_SECONDS = 35.0


def is_expired(item: Mapping[str, Any], now_seconds: float) -> bool:
    """Returns whether DynamoDB would delete this item, which is in DynamoDB's JSON."""
    number = item.get(EXPIRES_AT, {}).get("N")
    try:
        expires_at = Decimal(number)
    except (TypeError, InvalidOperation):
        return False  # absent, or of another type
    return now_seconds - OLDEST_SECONDS <= expires_at < now_seconds


def _placeholders(now_seconds: float) -> dict[str, Any]:
    return {
        "ExpressionAttributeNames": {"#expires_at": EXPIRES_AT},
        "ExpressionAttributeValues": {":now": {"N": str(now_seconds)}},
    }


class Expiry:
    """A thread that deletes expired items every hour; after an error it tries again an hour later.

    Args:
        client: a boto3 DynamoDB client.
        table: the table's name.
        report: takes a sentence for the operator, once when deleting begins to fail.
        now: epoch seconds.
        pause: waits so many seconds; returns True if the thread should stop instead.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        report: Callable[[str], None] = print,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._report = report
        self._now = now
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        #: The error of the last pass; empty after a success.
        self.last_error = ""
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread; what it has not deleted expires in the next run."""
        self._stopped.set()
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def delete_expired(self) -> int:
        """Reads the table once and deletes what expired; returns the number of deleted items."""
        deleted, now_seconds = 0, self._now()
        request: dict[str, Any] = {
            "TableName": self._table,
            "Limit": PAGE_ITEMS,
            "ConsistentRead": True,
            "ProjectionExpression": "pk, sk, #expires_at",
            "FilterExpression": "#expires_at < :now",
            **_placeholders(now_seconds),
        }
        while True:
            page = self._client.scan(**request)
            deleted += sum(self._delete(item, now_seconds) for item in page["Items"] if is_expired(item, now_seconds))
            if "LastEvaluatedKey" not in page or self._pause(PAGE_PAUSE_SECONDS):
                return deleted
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _delete(self, item: Mapping[str, Any], now_seconds: float) -> bool:
        """Deletes the item unless its life was prolonged meanwhile."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key={"pk": item["pk"], "sk": item["sk"]},
                ConditionExpression="#expires_at < :now",
                **_placeholders(now_seconds),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _run(self) -> None:
        delay_seconds = FIRST_AFTER_SECONDS
        while not self._pause(delay_seconds):
            self._pass()
            delay_seconds = PASS_EVERY_SECONDS

    def _pass(self) -> None:
        try:
            self.delete_expired()
        except (ClientError, BotoCoreError) as error:
            if not self.last_error:
                self._report(f"expired items cannot be deleted ({error}); this is tried again every hour")
            self.last_error = str(error)
        else:
            self.last_error = ""
