"""The versions of tenants' assistants: each an item of its own, immutable but for an effort that was found out."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pydantic import TypeAdapter

from chalicelib.errors import NotFound
from chalicelib.model import Assistant
from chalicelib.model.assistants.version import AssistantVersion
from chalicelib.store.records.reader import each, readable
from chalicelib.store.table import Attr, ConditionFailed, Item, Put, Table, Update

_assistants: Final = TypeAdapter(Assistant)


class AssistantVersions:
    """The versions of all assistants.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, tenant: str, version: int) -> AssistantVersion:
        """Returns one version. Raises NotFound, and Unreadable."""
        item = self._table.get(*_key(tenant, version))
        if item is None:
            raise NotFound
        return _version_from(item)

    def get_many(self, tenant: str, versions: Iterable[int]) -> list[AssistantVersion]:
        """Returns those of these versions that exist and can be read, a moment old, the latest first."""
        items = self._table.get_many([_key(tenant, version) for version in versions])
        return sorted(each(items, _version_from), key=lambda found: found.assistant.version, reverse=True)

    def store_found_effort(self, tenant: str, version: int, effort: str) -> None:
        """Stores the effort that the model of this assistant takes instead of our default (``model/assistant.py``)."""
        with suppress(ConditionFailed):
            self._table.update(Update(*_key(tenant, version), set={"found_effort": effort}, when=Attr("pk").exists()))


def version_put(tenant: str, stored: AssistantVersion) -> Put:
    """Returns the write of a new version."""
    pk, sk = _key(tenant, stored.assistant.version)
    about = {"saved_at": stored.saved_at, "saved_by": stored.saved_by, "restored_from": stored.restored_from}
    return Put({"pk": pk, "sk": sk, **_assistants.dump_python(stored.assistant, mode="json"), **about})


@readable
def _version_from(item: Item) -> AssistantVersion:
    about = {name: item.get(name) for name in ("saved_at", "saved_by", "restored_from")}
    return AssistantVersion(_assistants.validate_python(item), **about)


def _key(tenant: str, version: int) -> tuple[str, str]:
    return f"TENANT#{tenant}", f"ASSISTANT#{version}"
