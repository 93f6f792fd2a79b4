"""People of a history: owners, who scan, type and let their phone greet; contacts, who write, edit and delete."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.model import Assistant, Policies, Tenant, TenantState
from chalicelib.model.tenant import Audience
from chalicelib.sessions.missed import answer_missed
from tests.simulation.cloud import EPOCH_MS
from tests.simulation.whatsapp_model import Account, Contact, Stanza

if TYPE_CHECKING:
    from tests.simulation.world import World

TAKEOVER_MINUTES = 3
#: A message is changed before it is read, before the line answers, while it does, or long after.
CHANGED_AFTER_SECONDS = ((0.02, 1.0), (1.0, 4.0), (4.0, 12.0), (12.0, 120.0))
#: What the phone sends by itself; WhatsApp does not say that it does.
GREETING, GREETS_WITHIN_SECONDS = "Welcome, and thank you for your message! We are with you soon.", (0.2, 2.0)
AWAY, AWAY_WITHIN_SECONDS = "Our office is closed just now; we answer on the next working day.", (0.5, 8.0)
#: Contacts of an early history write within so many seconds after its beginning, and after each scan.
EARLY_WITHIN_SECONDS = 8.0
#: How often somebody writes at night, of the times that it would be by day.
WRITES_AT_NIGHT = 0.01
#: How often an owner asks that those be answered who wrote while the line was disconnected, of the looks at the page.
ASKS_FOR_ANSWERS = 0.3
#: An owner's next number is so much higher.
NEXT_NUMBER = 10_000
#: More than one reading of a chat brings (runner/messages/inbox.py: MAX_TAIL).
MANY_MESSAGES = (300, 400)
#: Somebody who writes steadily leaves so many seconds between messages, and goes on for so many messages.
STEADY_PAUSE_SECONDS, STEADY_MESSAGES = (1.0, 5.0), (8, 14)


class People:
    """All people of one history."""

    def __init__(self, world: "World") -> None:
        self.world = world
        #: False from the history's end on.
        self.writing = True
        #: The tasks of the contacts who write.
        self.contacts: list[asyncio.Task[None]] = []
        #: When each owner last asked that those be answered who wrote while the line was disconnected.
        self.asked_at: dict[str, float] = {}
        #: Whom each tenant answers.
        self.audiences: dict[str, Audience] = {}

    def found_tenants(self) -> Iterator[tuple[str, Account]]:
        """Creates the tenants; yields each with its account."""
        plan, server = self.world.plan, self.world.server
        for place, tenant in enumerate(self.world.tenants):
            # The first answers everyone; of another, the first contact may be one whom it does not answer.
            audience = plan.audience if place else Audience.EVERYONE
            contacts = [Contact(f"4917{place}{one:06d}", f"77{place}{one:06d}") for one in range(plan.chats)]
            if audience is not Audience.EVERYONE:
                is_saved = audience is Audience.UNSAVED
                contacts[0] = replace(contacts[0], saved=is_saved, older=not is_saved)
            number = f"49150000{place:04d}"
            account = server.accounts[number] = Account(
                number, shown={one: [] for one in contacts}, sent={one: [] for one in contacts}, migrated=place == 0
            )
            self.audiences[tenant] = audience
            self._create(tenant, audience)
            yield tenant, account

    def _create(self, tenant: str, audience: Audience) -> None:
        policies = Policies(
            audience=audience,
            replies_per_minute=0,
            replies_per_contact_per_day=0,
            takeover_minutes=TAKEOVER_MINUTES,
            history_messages=6,
        )
        self.world.cloud.services.tenants.create(
            Tenant(
                id=tenant,
                name=tenant,
                owner_email="owner@example.com",
                language="en",
                state=TenantState.ACTIVE,
                revision=1,
                created_at=EPOCH_MS,
                assistant_version=1,
                key_ciphertext="sealed",
                key_last4="abcd",
                policies=policies,
            ),
            Assistant(version=1, model="model", instructions="Answer."),
            by="operator",
        )

    async def own(self, tenant: str) -> None:
        """Acts as the owner, who opens the link, scans each code, and has those answered who wrote meanwhile."""
        world, services = self.world, self.world.cloud.services
        asks = random.Random(f"{world.seed}/{tenant}/asks")
        await asyncio.sleep(world.chance.uniform(0, 4))
        while True:
            session, account = world.session(tenant), world.accounts[tenant]
            if session.get("number") is None or session.get("qr") is not None:
                world.cloud.call(
                    "owner looks", lambda: services.placement.keep_awake(tenant, services.clock()), mortal=False
                )
                await asyncio.sleep(world.chance.uniform(1.0, 4.0))
                qr = world.session(tenant).get("qr")
                if qr is not None and world.server.scan(account, qr["code"]):
                    world.inspector.logins.scanned(tenant)
                    self._greet_by_contacts(account)
            elif self._missed_some(tenant) and asks.random() < ASKS_FOR_ANSWERS:
                world.cloud.call("owner asks for answers", lambda: self._answer_missed(tenant))
            await asyncio.sleep(max(2.0, world.dark_until - world.loop.time()))

    def _missed_some(self, tenant: str) -> bool:
        partition = self.world.cloud.table.partitions.get(f"TENANT#{tenant}", {})
        return any(key.startswith("MISSED#") for key in partition)

    def _answer_missed(self, tenant: str) -> None:
        """Has those answered who wrote while the line was disconnected; the next look may ask before this one ends."""
        services = self.world.cloud.services
        self.asked_at[tenant] = self.world.loop.time()
        if answer_missed(services, services.tenants.get(tenant), services.clock()):
            self.world.count("missed messages reopened")

    def let_write(self, account: Account) -> None:
        """Lets the contacts of an account write from now on; the eager ones at once, before it is linked."""
        for contact in account.shown:
            self.contacts.append(self.world.loop.create_task(self._write_on(account, contact)))
        self._greet_by_contacts(account)

    def _greet_by_contacts(self, account: Account) -> None:
        """Lets the contacts of an early history write in the next seconds."""
        for contact in account.shown if self.world.plan.early else ():
            chance = random.Random(f"{self.world.seed}/{contact.phone}/{self.world.loop.time()}")
            self.world.loop.after(chance.uniform(0.0, EARLY_WITHIN_SECONDS), self._write, account, contact, chance)

    def change_number(self, tenant: str) -> None:
        """Gives the owner another number, which the same contacts write to."""
        world, former = self.world, self.world.accounts[tenant]
        number = str(int(former.number) + NEXT_NUMBER)
        account = world.server.accounts[number] = Account(
            number,
            shown={one: [] for one in former.shown},
            sent={one: [] for one in former.sent},
            migrated=former.migrated,
        )
        world.former_accounts[tenant].append(former)
        world.accounts[tenant] = account
        self.let_write(account)

    def write_many(self, account: Account) -> None:
        """Lets a contact write very much at once."""
        contact = next(iter(account.shown))
        chance = random.Random(f"{self.world.seed}/{contact.phone}/many")
        for _ in range(chance.randint(*MANY_MESSAGES)):
            self._write(account, contact, chance)

    async def _write_on(self, account: Account, contact: Contact) -> None:
        """Acts as a contact, who writes now and then, and sometimes without a pause for long."""
        plan, chance = self.world.plan, random.Random(f"{self.world.seed}/{contact.phone}")
        steady = chance.random() < plan.steady
        while True:
            await asyncio.sleep(chance.expovariate(1 / plan.write_every_seconds))
            if self.world.loop.time() < self.world.dark_until and chance.random() > WRITES_AT_NIGHT:
                continue
            count, pause = chance.choice((1, 1, 2, 3)), (0.1, 3.0)
            if steady:
                steady, count, pause = False, chance.randint(*STEADY_MESSAGES), STEADY_PAUSE_SECONDS
            for _ in range(count):
                if not self.writing:
                    return
                self._write(account, contact, chance)
                await asyncio.sleep(chance.uniform(*pause))

    def _write(self, account: Account, contact: Contact, chance: random.Random) -> None:
        plan, server, sent = self.world.plan, self.world.server, account.sent[contact]
        quotes = bool(sent) and chance.random() < plan.quotes
        earlier = account.newest[chance.choice(sent[-3:]).id] if quotes else None
        stanza = server.write(account, contact, quote=earlier if earlier and not earlier.deleted else None)
        if len(sent) == 1 and plan.greets:
            self._answer_by_itself(account, stanza, GREETING, chance.uniform(*GREETS_WITHIN_SECONDS))
        elif plan.away:
            self._answer_by_itself(account, stanza, AWAY, chance.uniform(*AWAY_WITHIN_SECONDS))
        while chance.random() < plan.edits:
            self._later(chance, server.edit, account, stanza.id)
        if chance.random() < plan.deletions:
            self._later(chance, server.delete, account, stanza.id)

    def _answer_by_itself(self, account: Account, stanza: Stanza, words: str, after_seconds: float) -> None:
        write = self.world.server.write
        self.world.loop.after(
            after_seconds, lambda: write(account, stanza.contact, from_me=True, automatic=words, answers=stanza)
        )

    def _later(self, chance: random.Random, change: object, account: Account, message: str) -> None:
        self.world.loop.after(chance.uniform(*chance.choice(CHANGED_AFTER_SECONDS)), change, account, message)
