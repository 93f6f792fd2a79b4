"""The kinds of our sort keys, which a query finds by their beginning, are apart even where case is ignored."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from chalicelib import store

STORES = Path(store.__file__).parent


def kinds() -> list[str]:
    """Returns the beginning of each sort key in the drawn table of the stores."""
    rows = re.findall(r"^``[^`]+``\s+``([^`]+)``", store.__doc__ or "", flags=re.MULTILINE)
    return [re.match(r"[^#…]+#?", row)[0] for row in rows]  # type: ignore[index]


def searched() -> Iterator[str]:
    """Yields the beginnings that our stores ask for."""
    for path in STORES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "begins_with" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_the_kinds_are_in_capitals() -> None:
    assert len(kinds()) > 20
    assert all(re.fullmatch(r"[A-Z_]+#?", kind) for kind in kinds())


def test_a_query_by_a_beginning_finds_one_kind() -> None:
    beginnings = set(searched())
    assert {"SLOT#", "MESSAGE#"} <= beginnings <= set(kinds())
    for beginning, kind in itertools.product(beginnings, set(kinds())):
        assert beginning == kind or not kind.lower().startswith(beginning.lower())
