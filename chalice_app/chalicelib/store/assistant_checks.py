"""The stored part of the checks of assistants: when one was asked for, the last result, and the end of a model."""

from dataclasses import asdict

from chalicelib.model import Tenant
from chalicelib.model.notices.kinds import NoticeKind
from chalicelib.model.notices.notice import News, NewsState
from chalicelib.model.tenant import AssistantCheckup
from chalicelib.store.notifications.notices import news_writes
from chalicelib.store.table import Attr, ConditionFailed, Table, Update


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


def _news(checked: Tenant, ends_on: str | None, now: int) -> tuple[News, ...]:
    if (ends_on is None) is (checked.model_ends_on is None):
        return ()
    state = NewsState.OVER if ends_on is None else NewsState.OPEN
    return (News(checked.id, NoticeKind.MODEL_ENDS, state, now),)
