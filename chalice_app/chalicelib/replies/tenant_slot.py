"""A check's slot among the model calls that its tenant has at once: claimed at most once, freed when the check ends."""

from types import TracebackType
from typing import Self

from chalicelib.model.turn_rules.limits import slots_of_tenant
from chalicelib.store.slots import Slot
from chalicelib.wiring import Services


class TenantSlot:
    """Context of one check. A process that dies frees nothing: its slot expires.

    Args:
        services: the stores.
        tenant: the tenant's id.
    """

    def __init__(self, services: Services, tenant: str) -> None:
        self._services = services
        self._tenant = tenant
        self._slot: Slot | None = None

    def claim(self) -> bool:
        """Claims a slot. False if all slots of the tenant are taken."""
        services = self._services
        limit = slots_of_tenant(services.think_at_once)
        self._slot = services.slots.claim(self._tenant, services.token(), limit=limit, now=services.clock())
        return self._slot is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._slot is not None and (error is None or isinstance(error, Exception)):
            self._services.slots.release(self._slot)
