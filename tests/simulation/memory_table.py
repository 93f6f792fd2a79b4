"""The one DynamoDB table in memory: the promises of `chalicelib.store.table.Table` without boto3's client."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from decimal import Context, Decimal
from typing import Any

from boto3.dynamodb.conditions import AttributeBase, ConditionBase

from chalicelib.store.table import Check, ConditionFailed, Item, Path, Put, Table, Update

Key = tuple[str, str]

#: Global indexes of `infrastructure/cloudformation/resources.yaml`: (hash, range, all attributes are projected).
GLOBAL_INDEXES = {
    "directory": ("directory", "directory_order", True),
    "unplaced": ("unplaced", "unplaced_since", False),
    "open_turns": ("open_turns", "due_at", True),
}
LOCAL_INDEXES = {"by_time": "at"}
#: Sort keys of indexes that are numbers; all other keys are text.
NUMBERS = frozenset({"unplaced_since", "due_at"})
KEYS = frozenset({*LOCAL_INDEXES.values(), *(name for one in GLOBAL_INDEXES.values() for name in one[:2])})
MAX_TRANSACTION = 100
MAX_DIGITS = 38
#: Precise enough for the sum of any two numbers of DynamoDB's that our stores have.
EXACT = Context(prec=200)


class Invalid(Exception):
    """DynamoDB would answer with a ValidationException: a mistake of the caller, never a condition."""


class MemoryTable(Table):
    """Conditions are boto3's own objects, evaluated from their expression; items are replaced, never changed.

    Args:
        before: called before each operation with its name; may let time pass, or raise.
        now: seconds, for the lag of global indexes.
        lag: how long the next write takes to reach the global indexes, in seconds.
    """

    def __init__(
        self,
        before: Callable[[str], None] = lambda operation: None,
        now: Callable[[], float] = lambda: 0.0,
        lag: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._before = before
        self._now = now
        self._lag = lag
        #: By partition, then by sort key.
        self.partitions: dict[str, dict[str, Item]] = {}
        #: Called after each write with the key, the item before and the item after.
        self.watchers: list[Callable[[Key, Item | None, Item | None], None]] = []
        self._views: dict[str, dict[Any, dict[Key, Item]]] = {name: {} for name in GLOBAL_INDEXES}
        self._in_views: dict[str, dict[Key, Any]] = {name: {} for name in GLOBAL_INDEXES}
        self._on_their_way: deque[tuple[float, Key, Item | None]] = deque()

    # -- as Table -----------------------------------------------------------------------------------------------

    def get(self, pk: str, sk: str) -> Item | None:
        self._before("get")
        item = self._at((pk, sk))
        return None if item is None else _copied(item)

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        self._before("get many")
        found = (self._at(key) for key in dict.fromkeys(keys))
        return [dict(_copied(item)) for item in found if item is not None]

    def query(
        self,
        pk: str,
        *,
        begins_with: str | None = None,
        between: tuple[Any, Any] | None = None,
        index: str | None = None,
        keys: tuple[str, str] = ("pk", "sk"),
        where: ConditionBase | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        page: int | None = None,
        consistent: bool = True,
    ) -> Iterator[Item]:
        self._before("query")
        order = keys[1]
        if where is not None and _names_in(where) & {*keys}:
            raise Invalid("a filter does not take the keys of what is queried")
        if index is None or index in LOCAL_INDEXES:
            found = [item for item in self.partitions.get(pk, {}).values() if order in item]
        elif consistent:
            raise Invalid("a global index cannot be read consistently")
        else:
            self._arrive()
            found = list(self._views[index].get(pk, {}).values())
        if begins_with is not None:
            found = [item for item in found if item[order].startswith(begins_with)]
        if between is not None:
            found = [item for item in found if between[0] <= item[order] <= between[1]]
        found.sort(key=lambda item: (item[order], item["pk"], item["sk"]), reverse=newest_first)
        yielded = 0
        for item in found:
            if where is not None and not holds(where, item):
                continue
            yield _copied(item)
            yielded += 1
            if limit is not None and yielded >= limit:
                return

    def put(self, put: Put) -> None:
        self._before("put")
        key, item = self._prepared(put)
        self._write(key, item)

    def update(self, update: Update) -> Item:
        self._before("update")
        key, item = self._prepared(update)
        self._write(key, item)
        return dict(_copied(item))

    def delete(self, pk: str, sk: str) -> None:
        self._before("delete")
        self._write((pk, sk), None)

    def transact(self, *writes: Put | Update | Check) -> None:
        self._before("transact")
        keys = [_key_of(write) for write in writes]
        if len(set(keys)) < len(keys) or len(keys) > MAX_TRANSACTION:
            raise Invalid("a transaction names an item twice, or too many")
        if any(isinstance(write, Update) and not (write.set or write.remove or write.add) for write in writes):
            raise Invalid("a transaction does not take an update of nothing")
        prepared: list[tuple[Key, Item]] = []
        stood: list[Item | None] = [None] * len(writes)
        failed, invalid = False, None
        for place, write in enumerate(writes):
            try:
                prepared.append(self._prepared(write))
            except ConditionFailed as failure:
                failed, stood[place] = True, failure.item
            except Invalid as error:
                invalid = error
        if failed:
            raise ConditionFailed(stood)
        if invalid is not None:
            raise invalid
        for write, (key, item) in zip(writes, prepared, strict=True):
            if not isinstance(write, Check):
                self._write(key, item)

    # -- writes---------------------------------------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """Yields every item, for a test that inspects all of them."""
        for partition in self.partitions.values():
            yield from partition.values()

    def _at(self, key: Key) -> Item | None:
        return self.partitions.get(key[0], {}).get(key[1])

    def _prepared(self, write: Put | Update | Check) -> tuple[Key, Item]:
        """Returns the key and the item after a write; raises ConditionFailed or Invalid without a change."""
        key = _key_of(write)
        before = self._at(key)
        if write.when is not None and not holds(write.when, before or {}):
            raise ConditionFailed([None if before is None else _copied(before)])
        match write:
            case Put():
                return key, _demand_types({name: _native(value) for name, value in write.attributes.items()})
            case Update():
                return key, _demand_types(_updated(before or {"pk": key[0], "sk": key[1]}, write))
            case Check():
                return key, before or {}

    def _write(self, key: Key, item: Item | None) -> None:
        before = self._at(key)
        if item is None:
            self.partitions.get(key[0], {}).pop(key[1], None)
        else:
            self.partitions.setdefault(key[0], {})[key[1]] = item
        self._on_their_way.append((self._now() + self._lag(), key, item))
        for watcher in self.watchers:
            watcher(key, before, item)

    def _arrive(self) -> None:
        """Applies writes to the global indexes in order, each after its lag."""
        now, waiting = self._now(), self._on_their_way
        while waiting and waiting[0][0] <= now:
            _, key, item = waiting.popleft()
            for name, (partition, order, everything) in GLOBAL_INDEXES.items():
                view, places = self._views[name], self._in_views[name]
                if key in places:
                    del view[places.pop(key)][key]
                if item is not None and partition in item and order in item:
                    projected = item if everything else {k: item[k] for k in ("pk", "sk", partition, order)}
                    view.setdefault(item[partition], {})[key] = projected
                    places[key] = item[partition]


def _key_of(write: Put | Update | Check) -> Key:
    return (write.item["pk"], write.item["sk"]) if isinstance(write, Put) else (write.pk, write.sk)


def _demand_types(item: Item) -> Item:
    for name in KEYS & item.keys():
        if _kind(item[name]) is not (float if name in NUMBERS else str):
            raise Invalid(f"{name} is a key of an index, and of another type there")
    return item


def _updated(before: Item, update: Update) -> Item:
    item: Item = dict(before)
    fresh: set[tuple[str, ...]] = set()
    for path, value in update.setting:
        parent, name = _parent(item, path, fresh)
        parent[name] = _native(value)
    for path in update.removing:
        parent, name = _parent(item, path, fresh)
        parent.pop(name, None)
    for path, value in update.add.items():
        parent, name = _parent(item, path, fresh)
        before_it, value = parent.get(name), _native(value)
        if before_it is None and name not in parent:
            parent[name] = value
        elif isinstance(value, set) and isinstance(before_it, set) and _of_one_kind(before_it | value):
            parent[name] = before_it | value
        elif _kind(before_it) is float and _kind(value) is float:
            parent[name] = _sum(before_it, value)
        else:
            raise Invalid(f"{name} is of another type than what is added to it")
    return item


def _parent(item: Item, path: Path, fresh: set[tuple[str, ...]]) -> tuple[Item, str]:
    """Returns the map that holds the end of the path, copied so that no other reader sees the change."""
    parts = (path,) if isinstance(path, str) else path
    for depth, part in enumerate(parts[:-1]):
        if not isinstance(item.get(part), dict):
            raise Invalid(f"the path {path} leads nowhere")
        if parts[: depth + 1] not in fresh:
            item[part] = dict(item[part])
            fresh.add(parts[: depth + 1])
        item = item[part]
    return item, parts[-1]


# -- conditions --------------------------------------------------------------------------------------------------


def holds(condition: ConditionBase, item: Item) -> bool:
    """Returns True if DynamoDB would find this condition true of the item."""
    expression = condition.get_expression()
    operator, operands = expression["operator"], expression["values"]
    if operator == "AND":
        return all(holds(operand, item) for operand in operands)
    if operator == "OR":
        return any(holds(operand, item) for operand in operands)
    if operator == "NOT":
        return not holds(operands[0], item)
    found, given = _value_of(operands[0], item), [_value_of(operand, item) for operand in operands[1:]]
    if operator == "attribute_exists":
        return found is not MISSING
    if operator == "attribute_not_exists":
        return found is MISSING
    if operator == "<>":
        return not _equal(found, given[0])
    if found is MISSING:
        return False
    match operator:
        case "=":
            return _equal(found, given[0])
        case "IN":
            return any(_equal(found, one) for one in given[0])
        case "begins_with":
            return isinstance(found, str) and isinstance(given[0], str) and found.startswith(given[0])
        case "contains":
            return _contains(found, given[0])
    if any(_kind(found) is not _kind(one) for one in given):
        return False
    match operator:
        case "<":
            return bool(found < given[0])
        case "<=":
            return bool(found <= given[0])
        case ">":
            return bool(found > given[0])
        case ">=":
            return bool(found >= given[0])
        case "BETWEEN":
            return bool(given[0] <= found <= given[1])
    raise NotImplementedError(operator)


def _sum(one: Any, other: Any) -> float:
    total = EXACT.add(Decimal(str(one)), Decimal(str(other)))
    if len(total.normalize(EXACT).as_tuple().digits) > MAX_DIGITS:
        raise Invalid("a number has at most 38 digits")
    return int(total) if total == total.to_integral_value(context=EXACT) else float(total)


def _contains(found: Any, given: Any) -> bool:
    if type(found) in (str, bytes):
        return type(found) is type(given) and given in found
    return isinstance(found, set | list) and any(_equal(one, given) for one in found)


class _Missing:
    """A missing attribute, which equals no value."""


MISSING = _Missing()


def _names_in(condition: ConditionBase) -> set[str]:
    """Returns the attributes that a condition reads."""
    operands = condition.get_expression()["values"]
    names = {str(operand.name).partition(".")[0] for operand in operands if isinstance(operand, AttributeBase)}
    return names.union(*(_names_in(operand) for operand in operands if isinstance(operand, ConditionBase)))


def _value_of(operand: Any, item: Item) -> Any:
    if not isinstance(operand, AttributeBase):
        return _native(operand)
    value: Any = item
    for part in str(operand.name).split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def _kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _equal(one: Any, other: Any) -> bool:
    """Compares as DynamoDB does, for which a number is no boolean, at any depth."""
    if one is MISSING or _kind(one) is not _kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return bool(one == other)


def _of_one_kind(members: Set[Any]) -> bool:
    return len({_kind(member) for member in members}) == 1


def _native(value: Any) -> Any:
    """Returns the value as DynamoDB returns it: no enums, no tuples, no decimals."""
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Mapping):
        return {str.__str__(name): _native(inner) for name, inner in value.items()}
    if isinstance(value, Set):
        if not value:
            raise Invalid("a set has a member")
        return {_native(inner) for inner in value}
    if isinstance(value, Sequence):
        return [_native(inner) for inner in value]
    raise TypeError(f"DynamoDB has no place for {type(value).__name__}")


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {name: inner if type(inner) in _SIMPLE else _copied(inner) for name, inner in value.items()}
    if type(value) is list:
        return [inner if type(inner) in _SIMPLE else _copied(inner) for inner in value]
    return set(value) if isinstance(value, set) else value


_SIMPLE = frozenset({str, int, bool, float, bytes, type(None)})
