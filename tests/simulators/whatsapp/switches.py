"""The simulator's fidelity switches and standing faults, hostile by default."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Switches:
    """Everything a test may change about how WhatsApp behaves; times are milliseconds."""

    #: The build the page claims to be; wa-js compares it with several thresholds.
    version: str = "2.3000.1046379654"
    #: Lifetime of the first QR reference, of each further one, and how many there are before idling.
    qr_first_ms: int = 60_000
    qr_next_ms: int = 20_000
    qr_max: int = 6
    #: Lifetime of an 8-character pairing code.
    pair_code_ms: int = 180_000
    #: From DOMContentLoaded to the start of the application.
    boot_ms: int = 0
    #: Before its modules are there the page's main thread works: so many units of about a millisecond of a processor.
    boot_work: int = 0
    #: From signing in to Stream.mode MAIN.
    sync_ms: int = 150
    #: From losing the socket (or pairing) to the next attempt.
    reconnect_ms: int = 500
    #: From the end of a login to the navigation to `/?post_logout=1`.
    logout_reload_ms: int = 100
    #: From taking a message to acknowledging it.
    ack_delay_ms: int = 0
    #: The server takes messages and never says so.
    withhold_acks: bool = False
    #: From acknowledging a message to the contact's "delivered" receipt; negative means never.
    receipt_delay_ms: int = 50
    #: MsgKey keeps its serialized form in `$1`, as since 2.3000.1042401057.
    msgkey_minified: bool = True
    #: HeadlessChrome gets the "works with Google Chrome 100+" page.
    reject_headless: bool = True
    #: Content-Security-Policy without unsafe-eval and unsafe-inline.
    content_security_policy: bool = True
    #: Dummy modules in the module map; the real page has about 13,000.
    filler: int = 0
    #: The page reloads itself after pairing.
    reload_after_pair: bool = False
    #: Messages, chats and contacts are registered only after signing in.
    late_modules: bool = False
    #: Modules the page uses but does not list, comma separated: wa-js cannot find them.
    hidden_modules: str = ""
    #: A "what's new" dialog stands before the chats; unless it is confirmed within this time, the device is unlinked.
    whats_new_ms: int = 0
    #: Websocket handshakes are answered with 503.
    refuse_websocket: bool = False
    #: Every message event is delivered twice.
    duplicate_delivery: bool = False
    #: Inbound messages appear as ciphertext first and become readable after this time; negative: at once.
    ciphertext_ms: int = -1
    #: From linking to the history's arrival; new chats may begin before it.
    history_ms: int = 0
    #: Where the page has the owner's address book: on the contact by number only, or on its LID twin as well.
    saved_names_on_lids: bool = False
    #: New accounts use LID chats.
    lid_migrated: bool = True

    def with_changes(self, changes: dict[str, Any]) -> Switches:
        """Return a copy with these changes; unknown names and wrong types are refused."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no switch named {name!r}")
            if type(value) is not type(known[name]):
                raise ValueError(f"{name} must be a {type(known[name]).__name__}")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Return the switches by name, as the page and the control API show them."""
        return asdict(self)
