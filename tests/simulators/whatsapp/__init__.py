"""A stand-in for web.whatsapp.com and the phones behind it, good enough for the unmodified wa-js."""

from tests.simulators.whatsapp.client import SimulatorClient
from tests.simulators.whatsapp.contact import Contact
from tests.simulators.whatsapp.phone import Phone, ScanRefused
from tests.simulators.whatsapp.server import WhatsAppSimulator
from tests.simulators.whatsapp.state import Message
from tests.simulators.whatsapp.switches import Switches

__all__ = ["Contact", "Message", "Phone", "ScanRefused", "SimulatorClient", "Switches", "WhatsAppSimulator"]
