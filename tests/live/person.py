"""Who holds the two phones: an operator at the terminal, or a script that plays one on the simulator."""

from __future__ import annotations

import asyncio
from typing import Protocol

import qrcode

from tests.simulators.whatsapp import WhatsAppSimulator

#: People fetch phones, drink coffee; then a step counts as skipped.
ANSWERS_WITHIN = 1800.0
PICTURE = b"\xff\xd8\xff\xe0picture\xff\xd9"


class NotDone(Exception):
    """The person did not want to, or did not answer in time."""


class Person(Protocol):
    """LINE is the phone whose account is linked; CONTACT is the other one."""

    async def scan(self, code: str) -> None:
        """Scan this code with LINE."""

    async def write(self, text: str) -> None:
        """Write this to LINE, with CONTACT."""

    async def send_picture(self) -> None:
        """Send LINE any picture, with CONTACT."""

    async def agrees(self, question: str) -> bool:
        """Yes or no."""


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

    async def agrees(self, question: str) -> bool:
        while True:
            answer = (await self._answer(f"    {question} [y/n] ")).strip().lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")

    async def _answer(self, words: str) -> str:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await asyncio.to_thread(input, words)
        except (TimeoutError, EOFError) as trouble:
            raise NotDone("no answer") from trouble


class Rehearsed:
    """Does what it is asked on the simulator, and answers as the script says: yes, unless the question is in it."""

    def __init__(self, simulator: WhatsAppSimulator, says_no_to: tuple[str, ...] = ()) -> None:
        self.phone = simulator.phone("491701111111", "LINE")
        self.contact = self.phone.contact("491702222222", "CONTACT")
        self.asked: list[str] = []
        self._says_no_to = says_no_to

    async def scan(self, code: str) -> None:
        self.phone.scan(code)

    async def write(self, text: str) -> None:
        self.contact.write(text)

    async def send_picture(self) -> None:
        self.contact.send_media(PICTURE, "image/jpeg")

    async def agrees(self, question: str) -> bool:
        self.asked.append(question)
        return not any(words in question for words in self._says_no_to)
