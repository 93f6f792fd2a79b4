"""How the simulator behaves in these tests: as always, without long waits."""

from tests.simulators.whatsapp import Switches

FAST = Switches(sync_ms=20, reconnect_ms=50, receipt_delay_ms=10, logout_reload_ms=20)
