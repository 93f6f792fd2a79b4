"""Expired items are deleted, and nothing else is."""

import threading
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.store.table import Put, Table, Update
from infrastructure.local import template
from infrastructure.local.table import expiry
from infrastructure.local.table.expiry import EXPIRES_AT, OLDEST_SECONDS, Expiry, is_expired
from tests.engines.dynoxide import Dynoxide, new_table

NOW = 1_790_000_000.5
TABLE = "answerline-expiry"


@pytest.mark.parametrize(
    ("value", "expired"),
    [
        ({"N": "1789999999"}, True),
        ({"N": "1790000000"}, True),
        ({"N": "1790000000.5"}, False),
        ({"N": "1790000001"}, False),
        ({"N": "1790000000000"}, False),  # milliseconds are far in the future
        ({"N": str(NOW - OLDEST_SECONDS)}, True),
        ({"N": str(NOW - OLDEST_SECONDS - 1)}, False),
        ({"N": "0"}, False),
        ({"N": "-5"}, False),
        ({"N": "1.7E9"}, True),
        ({"S": "1789999999"}, False),
        ({"NULL": True}, False),
        ({"NS": ["1789999999"]}, False),
        (None, False),
    ],
)
def test_an_item_expires_as_dynamodb_says(value: dict[str, Any] | None, expired: bool) -> None:
    assert is_expired({} if value is None else {EXPIRES_AT: value}, NOW) is expired


def test_the_attribute_is_the_one_of_the_template() -> None:
    specification = template.load()["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]
    assert specification == {"AttributeName": EXPIRES_AT, "Enabled": True}


class Clock:
    """Time that passes in pauses; the thread is asked to stop after some of them."""

    def __init__(self, pauses: int) -> None:
        self.now = NOW
        self.pauses: list[float] = []
        self._left = pauses

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return len(self.pauses) >= self._left


@pytest.fixture
def table(dynoxide: Dynoxide) -> Table:
    return new_table(dynoxide.client(), TABLE)


def kept(table: Table) -> list[str]:
    return [item["sk"] for item in table.query("P")]


@pytest.mark.dynoxide
def test_what_expired_goes_from_the_table_and_its_indexes(dynoxide: Dynoxide, table: Table) -> None:
    items: dict[str, Any] = {"old": NOW - 10, "new": NOW + 10, "never": None, "text": "1", "ancient": 5}
    for name, expires_at in items.items():
        table.put(Put({"pk": "P", "sk": name, "at": name, EXPIRES_AT: expires_at}))
    assert Expiry(dynoxide.client(), TABLE, now=lambda: NOW).delete_expired() == 1
    assert kept(table) == ["ancient", "never", "new", "text"]
    assert [item["sk"] for item in table.query("P", index="by_time", keys=("pk", "at"))] == kept(table)


@pytest.mark.dynoxide
def test_every_page_is_read_and_the_application_gets_its_turn_between(
    dynoxide: Dynoxide, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "PAGE_ITEMS", 4)
    for number in range(18):
        table.put(Put({"pk": "P", "sk": f"{number:02d}", EXPIRES_AT: NOW - 1 if number % 2 else NOW + 1}))
    clock = Clock(pauses=100)
    assert Expiry(dynoxide.client(), TABLE, now=lambda: NOW, pause=clock.pause).delete_expired() == 9
    assert kept(table) == [f"{number:02d}" for number in range(0, 18, 2)]
    assert len(clock.pauses) == 4
    stopping = Clock(pauses=1)
    for number in range(1, 18, 2):
        table.put(Put({"pk": "P", "sk": f"{number:02d}", EXPIRES_AT: NOW - 1}))
    assert Expiry(dynoxide.client(), TABLE, now=lambda: NOW, pause=stopping.pause).delete_expired() == 2
    assert len(stopping.pauses) == 1


@pytest.mark.dynoxide
def test_an_item_whose_life_was_prolonged_between_read_and_delete_stays(dynoxide: Dynoxide, table: Table) -> None:
    for name in ("a", "b", "c"):
        table.put(Put({"pk": "P", "sk": name, EXPIRES_AT: NOW - 1}))

    class Racing:
        exceptions = dynoxide.client().exceptions

        def scan(self, **request: Any) -> Any:
            page = dynoxide.client().scan(**request)
            table.update(Update("P", "a", set={EXPIRES_AT: NOW + 100}))
            table.update(Update("P", "b", set={EXPIRES_AT: None}))
            return page

        def delete_item(self, **request: Any) -> Any:
            return dynoxide.client().delete_item(**request)

    assert Expiry(Racing(), TABLE, now=lambda: NOW).delete_expired() == 1
    assert kept(table) == ["a", "b"]


class Broken:
    """A client whose engine does not answer for the first scans."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.scans = 0
        self.done = threading.Event()

    def scan(self, **request: Any) -> Any:
        self.scans += 1
        if self.scans <= self.failures:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return {"Items": []}


def test_the_thread_works_each_hour_goes_on_after_an_error_and_says_so_once() -> None:
    client, clock, said = Broken(failures=2), Clock(pauses=5), list[str]()
    thread = Expiry(client, TABLE, said.append, now=clock, pause=clock.pause)
    thread.start()
    thread.stop()
    assert client.scans == 4
    assert clock.pauses == [120.0, 3600.0, 3600.0, 3600.0, 3600.0]
    assert len(said) == 1
    assert "every hour" in said[0]
    assert thread.last_error == ""


def test_a_thread_that_waits_stops_at_once() -> None:
    client = Broken(failures=0)
    thread = Expiry(client, TABLE)
    thread.start()
    thread.stop()
    assert client.scans == 0
