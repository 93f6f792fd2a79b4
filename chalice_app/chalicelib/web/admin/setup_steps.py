"""The steps of setting an installation up, each done once something is true. Pure; takes `now`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chalicelib.installation import NO_ADVICE, SetupAdvice
from chalicelib.model.saved_state import in_words
from chalicelib.store.setup import SetupRecord, TrialMail

#: A backup is made every night; one that is missing for longer than this is a problem.
BACKED_UP_WITHIN: Final = timedelta(hours=36)


class SetupTopic(StrEnum):
    """The subjects of the steps, in the order in which people take them."""

    ADDRESS = "address"  #: people can open the links
    MAIL = "mail"  #: mails arrive
    BACKUP = "backup"  #: the data are also in another place
    CLIENT = "client"  #: the first client's WhatsApp is connected


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One step, with what is known and what to do in a sentence or two."""

    topic: SetupTopic
    done: bool
    sentence: str
    #: which command or document helps, while it is open; empty: none is known
    advice: str = ""


class BackupState(BaseModel):
    """The state of backups as whatever makes them reports it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: without user and password; empty: none is given
    place: str = ""
    #: when the newest whole backup was finished; 0: none yet
    at_ms: int = Field(0, ge=0)
    bytes: int = Field(0, ge=0)
    #: when a backup was last read back and found restorable; 0: never
    verified_at_ms: int = Field(0, ge=0)
    #: a sentence for the operator; empty: none
    problem: str = ""
    #: the place is on the disk of the data, and would be lost with it
    same_disk: bool = False

    @classmethod
    def parse(cls, text: str) -> "BackupState":
        """Reads the report; one of unknown form is a problem of its own."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return cls(problem="The state of backups cannot be read.")


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """The state of an installation."""

    address: str
    #: why people outside cannot open it, a phrase; None if they can
    unfit: str | None
    record: SetupRecord
    #: of each client, whether a WhatsApp account was ever linked to it
    clients: Sequence[bool]
    #: whether something here makes backups
    backs_up: bool = False
    #: None while nothing is reported
    backup: BackupState | None = None
    advice: SetupAdvice = NO_ADVICE


def setup_steps(facts: SetupFacts, now: int) -> tuple[SetupStep, ...]:
    """Returns the steps that apply to this installation, in order."""
    steps = [_address(facts), _mail(facts.record.mail, facts.advice.mailbox, now)]
    if facts.backs_up:
        steps.append(_backup(facts.backup, now))
    return tuple(_advised(step, facts) for step in (*steps, _client(facts.clients)))


def _advised(step: SetupStep, facts: SetupFacts) -> SetupStep:
    """Returns the step with the advice that helps with it as it is now."""
    fits = {
        SetupTopic.ADDRESS: facts.unfit is not None,
        SetupTopic.MAIL: bool(facts.advice.mailbox),
    }.get(step.topic, True)
    advice = facts.advice.steps.get(step.topic, "")
    return step if step.done or not fits else replace(step, advice=advice)


def _address(facts: SetupFacts) -> SetupStep:
    if facts.unfit is not None:
        sentence = (
            f"Links in mails lead to {facts.address}: {facts.unfit}. Give this installation its public address "
            "(BASE_URL), with TLS in front of it, and start it again."
        )
        return SetupStep(SetupTopic.ADDRESS, False, sentence)
    if facts.record.seen_address != facts.address:
        sentence = f"Open this page under {facts.address}: that shows that the links in mails can be opened."
        return SetupStep(SetupTopic.ADDRESS, False, sentence)
    return SetupStep(SetupTopic.ADDRESS, True, f"This page was opened under {facts.address}.")


def _mail(mail: TrialMail | None, mailbox: str, now: int) -> SetupStep:
    if mail is None:
        return SetupStep(SetupTopic.MAIL, False, "Send one to yourself: owners get their links by mail.")
    if mail.kept and mailbox:
        sentence = "It is in the outbox: without a mail server, mails stay on this machine and reach nobody."
        return SetupStep(SetupTopic.MAIL, False, sentence)
    if mail.kept:
        return SetupStep(SetupTopic.MAIL, False, "The last one stayed in the outbox. Send another: it leaves now.")
    if mail.arrived_at is not None:
        return SetupStep(SetupTopic.MAIL, True, f"A mail to {mail.to} arrived {_ago(mail.arrived_at, now)}.")
    if mail.error:
        return SetupStep(SetupTopic.MAIL, False, f"The mail to {mail.to} failed: {mail.error}")
    sentence = f"A mail to {mail.to} was handed over {_ago(mail.sent_at, now)}. Open it and press its button."
    return SetupStep(SetupTopic.MAIL, False, sentence)


def _backup(backup: BackupState | None, now: int) -> SetupStep:
    def open_step(sentence: str) -> SetupStep:
        return SetupStep(SetupTopic.BACKUP, False, sentence)

    if backup is None:
        return open_step("Nothing is known of backups yet; that takes a minute after the start.")
    if backup.problem:
        return open_step(backup.problem)
    if not backup.place:
        return open_step(
            "Name a place outside of this machine (BACKUP_TO), and start again: a backup is made every night."
        )
    if not backup.at_ms:
        return open_step(f"The first backup to {backup.place} begins within a minute; then one is made every night.")
    age = timedelta(milliseconds=now - backup.at_ms)
    if age > BACKED_UP_WITHIN:
        return open_step(f"The newest backup at {backup.place} is {in_words(age)} old.")
    checked = f", and was found whole {_ago(backup.verified_at_ms, now)}" if backup.verified_at_ms else ""
    sentence = f"{_size(backup.bytes)} went to {backup.place} {_ago(backup.at_ms, now)}{checked}."
    if backup.same_disk:
        return open_step(f"{sentence} But that is on the disk of the data: a lost disk takes both.")
    return SetupStep(SetupTopic.BACKUP, True, sentence)


def _size(count: int) -> str:
    """Returns a number of bytes as people read it: 35 kB, 12 MB, 1.4 GB."""
    if count < 1_000_000:
        return f"{max(1, round(count / 1_000))} kB"
    return f"{round(count / 1_000_000)} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"


def _client(clients: Sequence[bool]) -> SetupStep:
    if not clients:
        return SetupStep(SetupTopic.CLIENT, False, "Create the first one: its owner gets a mail with a link.")
    if not any(clients):
        return SetupStep(SetupTopic.CLIENT, False, "It is created; its owner has not connected WhatsApp yet.")
    return SetupStep(SetupTopic.CLIENT, True, "The first WhatsApp account is connected.")


def _ago(instant: int, now: int) -> str:
    return f"{in_words(timedelta(milliseconds=max(0, now - instant)))} ago"
