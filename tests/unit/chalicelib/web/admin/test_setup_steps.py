"""The steps of the setup: a table of what is known, and which steps are done then."""

from dataclasses import replace

import pytest

from chalicelib.installation import NO_ADVICE, SetupAdvice
from chalicelib.store.setup import SetupRecord, TrialMail
from chalicelib.web.admin.setup_steps import BackupState, SetupFacts, SetupTopic, setup_steps

NOW = 1_790_000_000_000
HOUR = 3_600_000
ADDRESS = "https://line.example.com/api"
MAIL = TrialMail("olga@agency.example", NOW - HOUR, "0" * 64)
BACKUP = BackupState(place="sftp://backup.example", at_ms=NOW - HOUR, bytes=12_300_000, verified_at_ms=NOW - 30 * HOUR)
DONE = SetupFacts(
    address=ADDRESS,
    unfit=None,
    record=SetupRecord(seen_address=ADDRESS, mail=replace(MAIL, arrived_at=NOW - HOUR)),
    clients=[True],
    backs_up=True,
    backup=BACKUP,
)


def of(facts: SetupFacts, topic: SetupTopic) -> tuple[bool, str]:
    [step] = [step for step in setup_steps(facts, NOW) if step.topic is topic]
    return step.done, step.sentence


def test_a_complete_installation_has_every_step_ticked_in_order() -> None:
    steps = setup_steps(DONE, NOW)
    assert [step.topic for step in steps] == list(SetupTopic)
    assert all(step.done for step in steps)
    assert all(step.sentence.endswith(".") for step in steps)


def test_where_nothing_makes_backups_there_is_no_such_step() -> None:
    steps = setup_steps(replace(DONE, backs_up=False, backup=None), NOW)
    assert [step.topic for step in steps] == [SetupTopic.ADDRESS, SetupTopic.MAIL, SetupTopic.CLIENT]


@pytest.mark.parametrize(
    ("unfit", "seen", "done", "word"),
    [
        (None, ADDRESS, True, "was opened under https://line.example.com/api"),
        (None, "", False, "Open this page under https://line.example.com/api"),
        (None, "https://former.example/api", False, "Open this page under"),
        ("it does not begin with https://", ADDRESS, False, "/api: it does not begin with https://."),
        ("it leads to a loopback or private host", "", False, "BASE_URL"),
    ],
)
def test_the_address_is_proven_by_opening_it(unfit: str | None, seen: str, done: bool, word: str) -> None:
    found = of(replace(DONE, unfit=unfit, record=SetupRecord(seen_address=seen)), SetupTopic.ADDRESS)
    assert found[0] is done
    assert word in found[1]


@pytest.mark.parametrize(
    ("mail", "done", "word"),
    [
        (None, False, "Send one to yourself"),
        (MAIL, False, "handed over 1 hour ago. Open it and press its button"),
        (replace(MAIL, error="The mail service is busy."), False, "failed: The mail service is busy."),
        (replace(MAIL, arrived_at=NOW), True, "arrived a moment ago"),
        (replace(MAIL, arrived_at=NOW, error="late"), True, "arrived"),
        (replace(MAIL, arrived_at=NOW + HOUR), True, "a moment ago"),  # a clock that was set back
    ],
)
def test_a_mail_is_proven_by_its_link(mail: TrialMail | None, done: bool, word: str) -> None:
    found = of(replace(DONE, record=SetupRecord(mail=mail)), SetupTopic.MAIL)
    assert found[0] is done
    assert word in found[1]


@pytest.mark.parametrize(
    ("mailbox", "mail", "done", "word"),
    [
        ("http://outbox.example", replace(MAIL, kept=True), False, "It is in the outbox"),
        ("http://outbox.example", replace(MAIL, kept=True, arrived_at=NOW), False, "reach nobody"),
        ("", replace(MAIL, kept=True, arrived_at=NOW), False, "Send another: it leaves now."),
        ("", replace(MAIL, arrived_at=NOW), True, "arrived"),
        ("http://outbox.example", replace(MAIL, arrived_at=NOW), True, "arrived"),
    ],
)
def test_a_mail_that_stays_here_proves_nothing(mailbox: str, mail: TrialMail, done: bool, word: str) -> None:
    advice = SetupAdvice(mailbox=mailbox, steps={"mail": "SMTP_URL"})
    facts = replace(DONE, record=SetupRecord(mail=mail), advice=advice)
    [step] = [step for step in setup_steps(facts, NOW) if step.topic is SetupTopic.MAIL]
    assert step.done is done and word in step.sentence
    assert step.advice == ("SMTP_URL" if mailbox and not done else "")


def test_advice_stands_at_a_step_that_is_open_and_that_it_fits() -> None:
    advice = SetupAdvice(steps={topic.value: f"of {topic}" for topic in SetupTopic})
    bare = SetupFacts(ADDRESS, "it is not an address", SetupRecord(), [], backs_up=True, backup=None, advice=advice)
    said = {step.topic: step.advice for step in setup_steps(bare, NOW)}
    assert said == {
        SetupTopic.ADDRESS: "of address",
        SetupTopic.MAIL: "",
        SetupTopic.BACKUP: "of backup",
        SetupTopic.CLIENT: "of client",
    }
    assert setup_steps(replace(bare, unfit=None), NOW)[0].advice == "", "it only waits to be opened"
    assert not any(step.advice for step in setup_steps(replace(DONE, advice=advice), NOW))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stand_ins": []}', '{"of_a_later_release": 1}'])
def test_advice_of_unknown_form_is_none(text: str) -> None:
    assert SetupAdvice.parse(text) == NO_ADVICE


@pytest.mark.parametrize(
    ("backup", "done", "word"),
    [
        (BACKUP, True, "12 MB went to sftp://backup.example 1 hour ago, and was found whole 1 day ago."),
        (BACKUP.model_copy(update={"verified_at_ms": 0}), True, "12 MB went to sftp://backup.example 1 hour ago."),
        (BACKUP.model_copy(update={"bytes": 0}), True, "1 kB went"),
        (BACKUP.model_copy(update={"bytes": 35_000}), True, "35 kB went"),
        (BACKUP.model_copy(update={"bytes": 999_999}), True, "1000 kB went"),
        (BACKUP.model_copy(update={"bytes": 1_440_000_000}), True, "1.4 GB went"),
        (
            BACKUP.model_copy(update={"same_disk": True}),
            False,
            "that is on the disk of the data: a lost disk takes both.",
        ),
        (BACKUP.model_copy(update={"at_ms": NOW - 36 * HOUR}), True, "1 day ago"),
        (BACKUP.model_copy(update={"at_ms": NOW - 36 * HOUR - 1}), False, "is 1 day old"),
        (BACKUP.model_copy(update={"at_ms": 0}), False, "begins within a minute"),
        (BACKUP.model_copy(update={"place": ""}), False, "BACKUP_TO"),
        (BACKUP.model_copy(update={"problem": "The place is full."}), False, "The place is full."),
        (None, False, "Nothing is known"),
    ],
)
def test_a_backup_is_young_and_whole(backup: BackupState | None, done: bool, word: str) -> None:
    found = of(replace(DONE, backup=backup), SetupTopic.BACKUP)
    assert found[0] is done
    assert word in found[1]


@pytest.mark.parametrize(
    ("clients", "done", "word"),
    [
        ([], False, "Create the first one"),
        ([False, False], False, "has not connected WhatsApp yet"),
        ([False, True], True, "is connected"),
    ],
)
def test_the_first_client_is_one_whose_whatsapp_was_connected(clients: list[bool], done: bool, word: str) -> None:
    found = of(replace(DONE, clients=clients), SetupTopic.CLIENT)
    assert found[0] is done
    assert word in found[1]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"place":"/mnt/b","at_ms":5,"bytes":7,"verified_at_ms":6,"problem":""}',
         BackupState(place="/mnt/b", at_ms=5, bytes=7, verified_at_ms=6)),
        ('{"place":"","at_ms":0,"bytes":0,"verified_at_ms":0,"problem":"","of_a_later_release":1}', BackupState()),
        ("{}", BackupState()),
        ("", BackupState(problem="The state of backups cannot be read.")),
        ("[]", BackupState(problem="The state of backups cannot be read.")),
        ('{"at_ms":-1}', BackupState(problem="The state of backups cannot be read.")),
        ('{"at_ms":"soon"}', BackupState(problem="The state of backups cannot be read.")),
    ],
)  # fmt: skip
def test_a_report_of_unknown_form_is_a_problem(text: str, state: BackupState) -> None:
    assert BackupState.parse(text) == state


@pytest.mark.parametrize(
    ("finished", "dismissed", "closed"), [(None, None, False), (NOW, None, True), (None, NOW, True), (NOW, NOW, True)]
)
def test_the_page_opens_by_itself_until_it_is_finished_or_dismissed(
    finished: int | None, dismissed: int | None, closed: bool
) -> None:
    assert SetupRecord(finished_at=finished, dismissed_at=dismissed).closed is closed
