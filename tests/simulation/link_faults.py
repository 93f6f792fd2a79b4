"""The faults between browsers and WhatsApp."""

from dataclasses import dataclass


@dataclass
class LinkFaults:
    """The rates of faults between browsers and WhatsApp now, from 0 to 1; durations are in seconds."""

    hint_lost: float = 0.0
    hint_twice: float = 0.0
    ack_lost: float = 0.0
    receipt_lost: float = 0.0
    unreadable: float = 0.0
    #: How long an unreadable message stays so: the least and the most of one of these, drawn evenly.
    unreadable_seconds: tuple[tuple[float, float], ...] = ((1.0, 20.0),)
    #: An edit or a deletion that the page does not show before it reads its database again.
    change_hidden: float = 0.0
    #: A message that the server delivers after newer ones, so much later.
    late: float = 0.0
    late_seconds: tuple[tuple[float, float], ...] = ((1.0, 20.0), (20.0, 100.0))
    #: A message that waits is handed over before those that came before it.
    disordered: float = 0.0
    #: An own message that the server refuses, one of these numbers of times.
    refused: float = 0.0
    refused_times: tuple[int, ...] = (1, 2, 6)
    #: A chat that a loaded page cannot read from its database, for so long.
    chat_unreadable: float = 0.0
    chat_unreadable_seconds: tuple[float, float] = (5.0, 120.0)
    #: A page whose start keeps its renderer busy for so long.
    slow_boot: float = 0.0
    slow_boot_seconds: tuple[float, float] = (5.0, 40.0)
