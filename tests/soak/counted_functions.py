"""The process of the functions, which counts what it reads and writes in the table, by kind of item and by index key.

The counts are in the file that the environment names, a second old at most.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

#: The variable with the file of the counts.
COUNTS = "TABLE_COUNTS"
WRITTEN_EVERY_SECONDS = 1.0
#: Sort keys that name an item of a kind carry its name after this.
SEPARATOR = "#"

#: (read or written, what); for a page whose reads are counted by themselves, also by which page
Row = tuple[str, str]
#: The pages whose reads are counted by themselves.
PAGES = ("/admin", "/admin/live")
#: The page that is being answered.
_page: ContextVar[str] = ContextVar("page", default="")


def rows_of(operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[tuple[Row, int]]:
    """Yields what a request reads and writes: an item by its kind, of an index also the key. Pure.

    A read that finds nothing counts as one, as DynamoDB bills it.
    """
    match operation:
        case "GetItem":
            yield ("read", kind_of(request["Key"])), 1
        case "BatchGetItem":
            for items in answer["Responses"].values():
                yield from (((("read", kind_of(item))), 1) for item in items)
        case "Query":
            yield ("read", _queried(request)), max(1, int(answer.get("ScannedCount", len(answer["Items"]))))
        case "TransactWriteItems":
            for write in request["TransactItems"]:
                ((how, one),) = write.items()
                done = "read" if how == "ConditionCheck" else "write"
                yield (done, kind_of(one.get("Key") or one["Item"])), 1
        case _:
            yield ("write", kind_of(request.get("Key") or request["Item"])), 1


def kind_of(key: Mapping[str, Any]) -> str:
    """Returns the kind of an item, from its key in DynamoDB's JSON."""
    return str(key["sk"]["S"]).partition(SEPARATOR)[0]


def _queried(request: Mapping[str, Any]) -> str:
    """Returns the partition that is queried: without the names of tenants, chats and runners, and numbers of shards."""
    first = request["KeyConditionExpression"].partition(" AND ")[0]
    placeholder = next(name for name in request["ExpressionAttributeValues"] if name in first)
    partition = str(request["ExpressionAttributeValues"][placeholder]["S"]).partition(SEPARATOR)
    name = f"{partition[0]}{SEPARATOR}…" if partition[1] else partition[0]
    return f"{request['IndexName']}: {name}" if "IndexName" in request else name


class Counts:
    """The counts of this process; may be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Row] = Counter()

    def add(self, rows: Iterable[tuple[Row, int]]) -> None:
        """Adds what one request read and wrote."""
        with self._lock:
            for row, count in rows:
                self._counts[row] += count

    def write(self, file: Path) -> None:
        """Writes the counts so far."""
        with self._lock:
            counted = [[*row, count] for row, count in sorted(self._counts.items())]
        new = file.with_suffix(".new")
        new.write_text(json.dumps(counted))
        new.replace(file)


def read_counts(file: Path) -> Counter[Row]:
    """Returns the counts in a file."""
    return Counter({(str(done), str(what)): int(count) for done, what, count in json.loads(file.read_text())})


def main() -> int:
    """Runs the functions until SIGTERM."""
    from infrastructure.local.lambda_runtime import functions

    counts, file = Counts(), Path(os.environ[COUNTS])

    def write_for_ever() -> None:
        while True:
            counts.write(file)
            time.sleep(WRITTEN_EVERY_SECONDS)

    count_calls(counts)
    threading.Thread(target=write_for_ever, name="counts", daemon=True).start()
    return functions.main()


def count_calls(counts: Counts) -> None:
    """Counts each call of a table from now on."""
    functions_path = Path(__file__).resolve().parents[2] / "chalice_app"
    sys.path[:0] = [str(functions_path / "vendor"), str(functions_path)]
    from chalicelib.store.table import Table

    call = Table._call

    def counted(self: Table, operation: Callable[..., Any], **request: Any) -> Any:
        answer = call(self, operation, **request)
        name = "".join(word.capitalize() for word in operation.__name__.split("_"))
        counts.add(by_page(rows_of(name, request, answer), _page.get()))
        return answer

    Table._call = counted  # type: ignore[method-assign]
    _name_pages()


def by_page(rows: Iterable[tuple[Row, int]], page: str) -> Iterator[tuple[Row, int]]:
    """Yields the rows with the page that caused them. Pure."""
    for (done, what), count in rows:
        yield ((f"{done} by {page}" if page in PAGES else done), what), count


def _name_pages() -> None:
    from chalicelib.web.pages import Pages

    answer = Pages._with_error_pages

    def answered(self: Pages, *arguments: Any) -> Any:
        token = _page.set(str(self.request.path))
        try:
            return answer(self, *arguments)
        finally:
            _page.reset(token)

    Pages._with_error_pages = answered  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    sys.exit(main())
