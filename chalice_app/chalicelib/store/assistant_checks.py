"""The stored part of the checks of assistants: when one was asked for, the last result, and the end of a model."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from chalicelib.model import Tenant, milliseconds
from chalicelib.model.assistants.models import OfferedModel, OfferedModels
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.model.tenant import AssistantCheckup
from chalicelib.store.notifications.notices import news_writes
from chalicelib.store.records.reader import one, readable, value_of
from chalicelib.store.table import Attr, ConditionFailed, Item, Table, Update
from chalicelib.store.timeline import seconds

#: A list of models that no check has renewed is forgotten.
MODELS_KEPT_FOR: Final = timedelta(days=30)


class AssistantChecks:
    """The checks of all tenants, in the tenants' own records.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def record_request(self, tenant: str, now: int, *, by: str | None) -> None:
        """Records that a check was asked for by an operator, or that the daily one is due (None)."""
        changes = {"check_asked_at": now, "check_by": by}
        self._table.update(Update(f"TENANT#{tenant}", "TENANT", set=changes, when=Attr("pk").exists()))

    def record(
        self, checked: Tenant, checkup: AssistantCheckup, ends_on: str | None, now: int
    ) -> tuple[News, ...] | None:
        """Records what a check found; returns the news of the model's end, which is stored with it.

        None if the tenant has another assistant, key or budget by now: then nothing is recorded.

        Args:
            checked: the tenant whose assistant was checked, as it was read before.
            ends_on: the near day on which OpenAI ends the model.
        """
        changes = {"checked": asdict(checkup), "model_ends_on": ends_on}
        same = Attr("pk").exists() & Attr("revision").eq(checked.revision)
        news = _news(checked, ends_on, now)
        try:
            self._table.transact(Update(f"TENANT#{checked.id}", "TENANT", set=changes, when=same), *news_writes(news))
        except ConditionFailed:
            return None
        return news

    def record_models(self, tenant: str, models: Iterable[OfferedModel], now: int) -> None:
        """Records the models that the tenant's key may use."""
        listed = [{"name": each.name, **({"ends_on": each.ends_on} if each.ends_on else {})} for each in models]
        expires_at = seconds(now + milliseconds(MODELS_KEPT_FOR))
        self._table.update(
            Update(f"TENANT#{tenant}", "MODELS", set={"listed_at": now, "models": listed, "expires_at": expires_at})
        )

    def get_models(self, tenant: str) -> OfferedModels | None:
        """Returns the models that the tenant's key may use; None before the first list."""
        return one(self._table.get(f"TENANT#{tenant}", "MODELS"), _models_from)


@readable
def _models_from(item: Item) -> OfferedModels:
    return value_of(OfferedModels, at=item["listed_at"], models=tuple(item["models"]))


def _news(checked: Tenant, ends_on: str | None, now: int) -> tuple[News, ...]:
    if (ends_on is None) is (checked.model_ends_on is None):
        return ()
    state = NewsState.OVER if ends_on is None else NewsState.OPEN
    return (News(checked.id, NoticeKind.MODEL_ENDS, state, now),)
