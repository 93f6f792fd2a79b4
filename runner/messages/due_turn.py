"""A turn that is due: when it is tried next, and the reasons why it is sent later or never."""

from dataclasses import dataclass
from enum import StrEnum

from wire import Delivery


class PostponeReason(StrEnum):
    """The reason why a turn is delivered later."""

    #: The lease ends too soon for a send.
    LEASE_TOO_SHORT = "lease_too_short"
    #: The page does not have the message any more that it sent.
    MESSAGE_LOST = "message_lost"
    #: WhatsApp's server did not accept the message; it is sent again later.
    NOT_ACCEPTED = "not_accepted"
    #: WhatsApp refused the message for good, and the control plane did not take the report.
    REFUSAL_UNREPORTED = "refusal_unreported"
    #: WhatsApp restricts the account, and does not let it write in this chat.
    RESTRICTED = "restricted"
    #: WhatsApp's server did not confirm the message yet.
    UNCONFIRMED = "unconfirmed"


class Postponed(Exception):
    """The reply has to wait, for the given reason; ``ack`` is WhatsApp's code, if it gave one."""

    def __init__(self, reason: PostponeReason, ack: int | None = None) -> None:
        super().__init__(reason if ack is None else f"{reason}: ack {ack}")
        self.reason = reason


class RefusedForGood(Exception):
    """WhatsApp refused the message however often it was sent, with this ack."""

    def __init__(self, ack: int) -> None:
        super().__init__(f"ack {ack}")
        self.ack = ack


@dataclass
class DueTurn:
    """A turn to deliver, and when to try next."""

    delivery: Delivery
    not_before: float = 0.0
    attempts: int = 0
    #: Its message that is sent and not confirmed: (chat, id).
    awaited: tuple[str, str] | None = None
    #: WhatsApp does not let the restricted account write in its chat.
    restricted: bool = False
