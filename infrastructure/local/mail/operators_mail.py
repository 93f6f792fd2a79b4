"""The operators' mail of a running stack, for the doctor: how many addresses get it, and whether it reaches them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.local.settings import Settings


def operators_mail(settings: "Settings") -> dict[str, int | bool]:
    """Returns the entry of `stack.json`; neither an address nor a secret is in it.

    While all is simulated, the outbox is where mails are read, and the preset address is as good as another one.
    """
    simulated = settings.guarded_by is None
    addresses = (settings.notices.operators_email or settings.operator_email).split(",")
    real = [address for address in addresses if simulated or address != type(settings).operator_email]
    return {"addresses": len(real), "leaves": simulated or settings.smtp_url is not None}
