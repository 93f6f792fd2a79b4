"""Operations on a table, drawn at random: those of our stores, on few keys, with the values that break engines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase
from hypothesis import strategies as st

from chalicelib.store.table import Check, Item, Put, Update

#: Few, so that operations meet. Their order by bytes differs from other orders: of numbers, of case, of UTF-16.
PARTITIONS = ("P", "P", "P", "TENANT#ä")
SORTS = ("A#1", "A#10", "A#2", "a", "B%_", "é", "\uffff", "\U0001f600")
#: Attributes by type; most are words that DynamoDB reserves.
OF_NUMBERS = ("size", "count", "value", "expires_at")
OF_TEXTS = ("name", "status", "data")
#: One attribute, ``names``, is a set of texts.
#: Attributes of any type; some hold the characters of a path or a placeholder.
OF_ANYTHING = ("role", "a.b", "#x")
FREE = (*OF_NUMBERS, *OF_TEXTS, *OF_ANYTHING, "names")
#: Keys of the indexes.
TEXT_KEYS = ("at", "directory", "directory_order", "unplaced", "open_turns")
NUMBER_KEYS = ("unplaced_since", "due_at")
#: The largest item that DynamoDB stores is 400 KiB, of which names and keys are a part.
LARGE = 300_000

texts = st.sampled_from(("", "a", "A", "ab", "10", "9", "é", "e\u0301", "\x00", "\uffff", "\U0001f600", "x" * 300))
whole = st.sampled_from((0, 1, -1, 2, 9, 10, 100, -10, 1_790_000_000_000, 2**53 + 1, -(2**63), 10**37, 10**38 - 1))
halves = st.sampled_from((0.5, -0.5, 0.1, 2.0, 1e-7, 1e20, 123456.789))
numbers = st.one_of(whole, halves)
blobs = st.sampled_from((b"\x00", b"\xff\xfe", b"a", bytes(range(256))))
sets = st.one_of(
    st.sets(st.sampled_from(("a", "b", "é", "\x00")), min_size=1),
    st.sets(st.sampled_from((0, 1, -1, 10**37)), min_size=1),
    st.sets(st.sampled_from((b"\x00", b"\xff")), min_size=1),
)
of_names = st.sets(st.sampled_from(("a", "b", "é")), min_size=1)
scalars = st.one_of(texts, numbers, blobs, st.booleans())
values = st.recursive(
    st.one_of(scalars, sets),
    lambda inner: st.one_of(
        st.lists(st.one_of(inner, st.none()), max_size=3),
        st.dictionaries(
            st.sampled_from(("n", "size", "a.b")) | texts.filter(bool), st.one_of(inner, st.none()), max_size=3
        ),
    ),
    max_leaves=4,
)
sorts = st.one_of(st.sampled_from(SORTS[:3]), st.sampled_from(SORTS[:3]), st.sampled_from(SORTS))
keys = st.tuples(st.sampled_from(PARTITIONS), sorts)


@dataclass(frozen=True)
class Get:
    """A consistent read of one item."""

    pk: str
    sk: str


@dataclass(frozen=True)
class GetMany:
    """A read of many items."""

    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Delete:
    """A delete, whether the item exists or not."""

    pk: str
    sk: str


@dataclass(frozen=True)
class Transaction:
    """Writes that are made all or not at all."""

    writes: tuple[Put | Update | Check, ...]


@dataclass(frozen=True)
class Batch:
    """New or replaced items, without a condition."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Query:
    """A query of the table or of an index."""

    pk: str
    options: dict[str, Any]


Operation = Get | GetMany | Delete | Transaction | Batch | Query | Put | Update


def _attributes() -> st.SearchStrategy[dict[str, Any]]:
    of_numbers = st.dictionaries(st.sampled_from(OF_NUMBERS), numbers, max_size=2)
    of_texts = st.dictionaries(st.sampled_from(OF_TEXTS), texts, max_size=2)
    of_anything = st.dictionaries(st.sampled_from(OF_ANYTHING), values, max_size=2)
    names = st.one_of(st.just({}), st.builds(lambda members: {"names": members}, of_names))
    texts_of_keys = st.dictionaries(st.sampled_from(TEXT_KEYS), st.sampled_from(("D", "E", "9", "10", "é")), max_size=3)
    numbers_of_keys = st.dictionaries(
        st.sampled_from(NUMBER_KEYS), st.sampled_from((0, -1, 9, 10, 2.5, 1_790_000_000_000, 10**20)), max_size=2
    )
    inner = st.sampled_from([{"inner": {"n": 1, "deep": {"n": 2, "size": "x"}}}] * 9 + [{}])
    large = st.sampled_from(({}, {}, {}, {}, {"data": "x" * LARGE}))
    return st.builds(
        lambda *parts: {name: value for part in parts for name, value in part.items()},
        *(of_numbers, of_texts, of_anything, names, texts_of_keys, numbers_of_keys, inner, large),
    )


@st.composite
def items(draw: st.DrawFn) -> Item:
    """An item with any attributes."""
    pk, sk = draw(keys)
    return {"pk": pk, "sk": sk, **draw(_attributes())}


_paths = st.one_of(
    st.sampled_from(FREE),
    st.sampled_from(FREE),
    st.sampled_from((("inner", "n"), ("inner", "deep", "size"), ("inner", "new"), ("inner", "a.b"))),
)


def _names(*names: str | tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draws a name that boto3 does not take for a path; one in a hundred is of another type."""
    flat = [each for name in names for each in ((name,) if isinstance(name, str) else name) if each != "a.b"]
    others = ("role", "#x", "at", "due_at", "inner.deep", "never.at.all")
    return st.integers(0, 99).flatmap(lambda chance: st.sampled_from(flat if chance else others))


def _compared() -> st.SearchStrategy[ConditionBase]:
    def build(name: str, kind: str, one: Any, other: Any) -> ConditionBase:
        made: dict[str, Callable[[], ConditionBase]] = {
            "=": lambda: Attr(name).eq(one),
            "<>": lambda: Attr(name).ne(one),
            "<": lambda: Attr(name).lt(one),
            "<=": lambda: Attr(name).lte(one),
            ">": lambda: Attr(name).gt(one),
            ">=": lambda: Attr(name).gte(one),
            "between": lambda: Attr(name).between(*sorted((one, other))),
            "in": lambda: Attr(name).is_in([one, other]),
            "exists": lambda: Attr(name).exists(),
            "not exists": lambda: Attr(name).not_exists(),
        }
        return made[kind]()

    ordered = ("=", "<>", "<", "<=", ">", ">=", "between", "in", "exists", "not exists")
    of_numbers = st.builds(build, _names(OF_NUMBERS, "inner.n"), st.sampled_from(ordered), numbers, numbers)
    of_texts = st.builds(build, _names(OF_TEXTS, "inner.deep.size"), st.sampled_from(ordered), texts, texts)
    others = st.builds(build, _names(FREE, "at", "due_at", "inner"), st.sampled_from(("=", "<>", "in")), values, values)
    part = texts.filter(bool)
    anything = _names(FREE, "at", "inner.deep.size")
    of_parts = st.one_of(
        st.builds(lambda name, text: Attr(name).begins_with(text), anything, part),
        st.builds(lambda name, value: Attr(name).contains(value), anything, st.one_of(part, whole)),
    )
    return st.one_of(of_numbers, of_texts, others, of_parts)


conditions: st.SearchStrategy[ConditionBase] = st.recursive(
    st.one_of(_compared(), st.sampled_from((Attr("pk").exists(), Attr("pk").not_exists()))),
    lambda inner: st.one_of(
        st.builds(lambda one, other: one & other, inner, inner),
        st.builds(lambda one, other: one | other, inner, inner),
        st.builds(lambda one: ~one, inner),
    ),
    max_leaves=3,
)
_maybe = st.one_of(st.none(), st.none(), conditions)


def _values_of(path: Any) -> st.SearchStrategy[Any]:
    known = {**dict.fromkeys(OF_NUMBERS, numbers), **dict.fromkeys(OF_TEXTS, texts), "names": of_names}
    return known.get(path, numbers if path == ("inner", "n") else values)


@st.composite
def updates(draw: st.DrawFn) -> Update:
    """An update whose paths differ and do not contain each other."""
    pk, sk = draw(keys)
    paths = draw(st.lists(_paths, max_size=4, unique=True))
    rarely = draw(st.integers(0, 19)) == 0
    index = {name: value for name, value in draw(_attributes()).items() if name in (*TEXT_KEYS, *NUMBER_KEYS)}
    sets: dict[Any, Any] = dict(index)
    adds: dict[Any, Any] = {}
    removes: list[Any] = []
    for path in paths:
        match draw(st.sampled_from(("set", "set", "none", "add", "join", "remove"))):
            case "none" if isinstance(path, str) or rarely:
                sets[path] = None
            case "add" if path in (*OF_NUMBERS, ("inner", "n")) or rarely:
                adds[path] = draw(st.sampled_from((1, -1, 5, 10**20)))
            case "join" if path == "names" or rarely:
                adds[path] = draw(of_names)
            case "add" | "join" if "names" not in paths:
                adds["names"] = draw(of_names)
            case "remove" if isinstance(path, str) or rarely:
                removes.append(path)
            case _:
                sets[path] = draw(_values_of(path))
    removes += draw(
        st.lists(
            st.sampled_from([key for key in (*TEXT_KEYS, *NUMBER_KEYS) if key not in index]), max_size=2, unique=True
        )
    )
    return Update(pk, sk, set=sets, add=adds, remove=tuple(removes), when=draw(_maybe))


def _puts() -> st.SearchStrategy[Put]:
    new = Attr("pk").not_exists()
    return st.builds(lambda item, when: Put(item, when=when), items(), st.one_of(st.just(new), _maybe))


def _transactions() -> st.SearchStrategy[Transaction]:
    checks = st.builds(lambda key, when: Check(key[0], key[1], when), keys, conditions)
    writes = st.lists(st.one_of(_puts(), updates(), updates(), checks), min_size=1, max_size=4)
    return st.builds(lambda chosen: Transaction(tuple(chosen)), writes)


def _queries() -> st.SearchStrategy[Query]:
    bounds = st.tuples(sorts, sorts).map(lambda pair: tuple(sorted(pair)))
    common = {
        "newest_first": st.booleans(),
        "limit": st.one_of(st.none(), st.integers(1, 5)),
        "where": st.one_of(st.none(), st.none(), _compared()),
    }
    of_table = st.builds(
        lambda pk, options, more: Query(pk, {**options, **more}),
        st.sampled_from(PARTITIONS),
        st.fixed_dictionaries(common),
        st.one_of(
            st.just({}),
            st.builds(lambda text: {"begins_with": text}, st.sampled_from(("A#", "A#1", "A#1", "B%", "é", "_", "A"))),
            st.builds(lambda pair: {"between": pair}, bounds),
        ),
    )
    of_index = st.builds(
        lambda place, options, pair: Query(
            place[0],
            {"index": place[1], "keys": place[2], "consistent": place[1] == "by_time", **options}
            | ({} if pair is None else {"between": pair if place[2][1] in NUMBER_KEYS else ("10", "E")}),
        ),
        st.sampled_from(
            (
                ("P", "by_time", ("pk", "at")),
                ("D", "directory", ("directory", "directory_order")),
                ("D", "unplaced", ("unplaced", "unplaced_since")),
                ("D", "open_turns", ("open_turns", "due_at")),
            )
        ),
        st.fixed_dictionaries({**common, "where": st.none()}),
        st.one_of(st.none(), st.sampled_from(((0, 10), (-1, 9), (9, 10**21)))),
    )
    return st.one_of(of_table, of_index)


def _batches() -> st.SearchStrategy[Batch]:
    different = st.lists(items(), min_size=2, max_size=5, unique_by=lambda item: (item["pk"], item["sk"]))
    return different.map(lambda chosen: Batch(tuple(chosen)))


#: A table that holds something, then anything.
sequences: st.SearchStrategy[list[Operation]] = st.builds(
    lambda first, others: [first, *others],
    _batches(),
    st.lists(st.deferred(lambda: operations), min_size=8, max_size=30),
)
operations: st.SearchStrategy[Operation] = st.one_of(
    _puts(),
    updates(),
    updates(),
    _transactions(),
    _transactions(),
    _queries(),
    _queries(),
    _batches(),
    st.builds(lambda key: Get(*key), keys),
    st.builds(lambda chosen: GetMany(tuple(chosen)), st.lists(keys, max_size=8)),
    st.builds(lambda key: Delete(*key), keys),
)
