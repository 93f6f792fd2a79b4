"""The person with the two phones: an operator at the terminal, or a script on the simulator."""

from __future__ import annotations

import asyncio
from typing import Protocol

import qrcode

from tests.simulators.whatsapp import WhatsAppSimulator

#: The limit for an answer; after it the step counts as skipped.
ANSWER_TIMEOUT_SECONDS = 1800.0
PICTURE = b"\xff\xd8\xff\xe0picture\xff\xd9"


class Declined(Exception):
    """The person declined, or did not answer in time."""


class Person(Protocol):
    """LINE is the phone whose account is linked; CONTACT is the other one."""

    async def scan(self, code: str) -> None:
        """Scans this code with LINE."""

    async def write(self, text: str) -> None:
        """Writes this to LINE, with CONTACT."""

    async def send_picture(self) -> None:
        """Sends LINE any picture, with CONTACT."""

    async def write_from_third_phone(self, text: str) -> None:
        """Writes this to LINE, with a phone that never did."""

    async def answer_automatically(self, *, greeting: str = "", away: str = "") -> None:
        """Sets the greeting and the away message of the WhatsApp Business app on LINE; an empty one is off."""

    async def type_on_line(self, text: str) -> None:
        """Types this on LINE, in the chat with CONTACT."""

    async def agrees(self, question: str) -> bool:
        """Asks a yes-or-no question."""


class Operator:
    """A real person with a terminal."""

    async def scan(self, code: str) -> None:
        picture = qrcode.QRCode(border=1)
        picture.add_data(code)
        picture.print_ascii(invert=True)
        print("    LINE: WhatsApp → linked devices → link a device → scan. (A new code comes when this one is over.)")

    async def write(self, text: str) -> None:
        await self._answer(f"    CONTACT: write to LINE exactly «{text}», then press Enter ")

    async def send_picture(self) -> None:
        await self._answer("    CONTACT: send LINE any picture, then press Enter ")

    async def write_from_third_phone(self, text: str) -> None:
        await self._answer(f"    THIRD PHONE: write to LINE exactly «{text}», then press Enter ")

    async def answer_automatically(self, *, greeting: str = "", away: str = "") -> None:
        for name, text in (("greeting message", greeting), ("away message", away)):
            what = f"on, to everyone, at all hours, with exactly «{text}»" if text else "off"
            await self._answer(f"    LINE: WhatsApp Business → business tools → {name}: {what}; then press Enter ")

    async def type_on_line(self, text: str) -> None:
        await self._answer(f"    LINE: type to CONTACT exactly «{text}», then press Enter ")

    async def agrees(self, question: str) -> bool:
        while True:
            answer = (await self._answer(f"    {question} [y/n] ")).strip().lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")

    async def _answer(self, words: str) -> str:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                return await asyncio.to_thread(input, words)
        except (TimeoutError, EOFError) as error:
            raise Declined("no answer") from error


class ScriptedPerson:
    """A script that acts on the simulator, and answers yes to all questions except those in ``disagrees_with``."""

    def __init__(self, simulator: WhatsAppSimulator, disagrees_with: tuple[str, ...] = ()) -> None:
        self.phone = simulator.phone("491701111111", "LINE")
        self.contact = self.phone.contact("491702222222", "CONTACT")
        self.asked: list[str] = []
        self._disagrees_with = disagrees_with

    async def scan(self, code: str) -> None:
        self.phone.scan(code)

    async def write(self, text: str) -> None:
        self.contact.write(text)

    async def send_picture(self) -> None:
        self.contact.send_media(PICTURE, "image/jpeg")

    async def write_from_third_phone(self, text: str) -> None:
        self.phone.contact("491703333333", "THIRD PHONE").write(text)

    async def answer_automatically(self, *, greeting: str = "", away: str = "") -> None:
        self.phone.answer_automatically(greeting=greeting or None, away=away or None)

    async def type_on_line(self, text: str) -> None:
        self.contact.owner_writes(text)

    async def agrees(self, question: str) -> bool:
        self.asked.append(question)
        return not any(words in question for words in self._disagrees_with)
