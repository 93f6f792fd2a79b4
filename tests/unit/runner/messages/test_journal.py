"""The journal forgets nothing a killed process knew, and stays small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.log_events import LogEvent
from runner.messages import journal as journal_module
from runner.messages.journal import OVERLAP_SECONDS, Journal
from runner.messages.journal_entries import SentPart
from runner.messages.journal_owner import OWNER_FILE, JournalOwner, owner_of
from wire import Message, MessageKind

CHAT = "49170@c.us"
NOW = 1_700_000_000
OWN = JournalOwner(epoch=4, capability="runner0001.tenant00001.4.proof")


def message(name: str, at_s: int = NOW, kind: MessageKind = MessageKind.TEXT) -> Message:
    return Message(id=name, chat=CHAT, from_me=False, sent_at_ms=at_s * 1000, kind=kind, text="ü" * 10)


def opened(path: Path) -> Journal:
    journal = Journal(path)
    journal.open()
    return journal


def test_what_waits_and_what_is_done_survive_without_closing(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - 10)
    journal.add("a", message("A"))
    journal.add("b", message("B", NOW + 1))
    journal.acknowledge("a")
    again = opened(tmp_path / "journal")
    assert list(again.waiting) == ["b"]
    assert again.waiting["b"].text == "ü" * 10
    assert again.knows("a")
    assert again.floor_s == NOW - 10
    journal.close()
    again.close()


def test_a_journal_of_the_former_release_is_read_and_the_names_in_it_go_from_the_disk(tmp_path: Path) -> None:
    former = {**message("A").model_dump(mode="json"), "truncated": False, "name": "Ann"}
    (tmp_path / "journal").write_text(
        json.dumps({"floor": NOW - 10}) + "\n" + json.dumps({"seen": "a", "message": former}) + "\n", encoding="utf-8"
    )
    journal = opened(tmp_path / "journal")
    assert journal.waiting == {"a": message("A")}
    assert "Ann" not in (tmp_path / "journal").read_text(encoding="utf-8")
    journal.close()


def test_on_a_full_disk_it_goes_on_in_memory_and_is_whole_again_afterwards(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - 10)
    journal.add("a", message("A"))
    with Path("/dev/full").open("w") as full:
        journal.close()
        journal._file = full
        journal.add("b", message("B", NOW + 1))
    assert list(journal.waiting) == ["a", "b"]
    journal.acknowledge("a")
    again = opened(tmp_path / "journal")
    assert list(again.waiting) == ["b"]
    assert again.knows("a")
    again.close()
    journal.close()


def test_a_journal_that_can_only_be_read_is_opened_and_whole_once_it_can_be_written(tmp_path: Path) -> None:
    earlier = opened(tmp_path / "journal")
    earlier.add("a", message("A"))
    earlier.close()
    in_the_way = tmp_path / "journal.new"
    in_the_way.mkdir()
    journal = Journal(tmp_path / "journal", OWN)
    journal.open()
    journal.add("b", message("B", NOW + 1))
    assert list(journal.waiting) == ["a", "b"]
    assert journal.write_errors == 2
    in_the_way.rmdir()
    journal.add("c", message("C", NOW + 2))
    assert owner_of(tmp_path / "journal") == OWN
    again = opened(tmp_path / "journal")
    assert list(again.waiting) == ["a", "b", "c"]
    again.close()
    journal.close()


def test_an_owner_that_cannot_be_written_is_written_with_the_next_message(tmp_path: Path) -> None:
    in_the_way = (tmp_path / OWNER_FILE).with_suffix(".new")
    in_the_way.mkdir()
    journal = Journal(tmp_path / "journal", OWN)
    journal.open()
    assert (journal.write_errors, owner_of(tmp_path / "journal")) == (1, None)
    in_the_way.rmdir()
    journal.add("a", message("A"))
    assert owner_of(tmp_path / "journal") == OWN
    journal.close()


def test_a_full_disk_is_complained_of_once_until_it_could_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path / "journal")
    in_the_way = tmp_path / "journal.new"
    for time in range(2):
        in_the_way.mkdir()
        with Path("/dev/full").open("w") as full:
            journal._close_file()
            journal._file = full
            for index in range(3):
                journal.add(f"{time}-{index}", message(f"M{time}{index}", NOW + index))
        in_the_way.rmdir()
        journal.add(f"{time}-room", message(f"R{time}"))
    assert [record.message for record in caplog.records] == [LogEvent.JOURNAL_WRITE_FAILED] * 2
    assert journal.write_errors == 6
    journal.close()


def test_an_owner_that_cannot_be_deleted_is_no_error_of_the_session(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path / "journal")
    (tmp_path / OWNER_FILE).mkdir()
    journal.close()
    assert [record.message for record in caplog.records] == [LogEvent.JOURNAL_OWNER_NOT_DELETED]


def test_a_sent_part_waits_to_be_reported_also_after_a_restart_and_a_rewriting_and_then_no_more(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, OWN)
    journal.open()
    changes: list[int] = []
    journal.on_change = lambda: changes.append(len(journal.sent))
    parts = [SentPart(CHAT, "turn-0001", index, f"3EB0{index}", NOW * 1000) for index in range(2)]
    for part in (*parts, parts[0]):
        journal.add_sent(part)
    assert (changes, journal.newest_ms()) == ([1, 2], NOW * 1000)
    again = opened(path)
    assert list(again.sent.values()) == parts
    again.mark_reported(parts[0])
    assert not again.is_empty()
    last = opened(path)
    assert list(last.sent.values()) == parts[1:]
    last.mark_reported(parts[1])
    assert opened(path).is_empty()
    for one in (journal, again, last):
        one.close()


@pytest.mark.parametrize(
    ("waits", "sent", "held_back", "due", "empty"),
    [
        (False, False, False, False, True),
        (False, False, True, False, True),
        (True, False, False, True, False),
        (True, False, True, False, False),
        (False, True, True, True, False),
        (True, True, True, True, False),
    ],
)
def test_messages_may_be_held_back_and_sent_parts_may_not(
    tmp_path: Path, waits: bool, sent: bool, held_back: bool, due: bool, empty: bool
) -> None:
    journal = Journal(tmp_path / "journal", OWN)
    journal.open()
    journal.hold_back(held_back)
    if waits:
        journal.add("a", message("A"))
    if sent:
        journal.add_sent(SentPart(CHAT, "turn-0001", 0, "3EB0", NOW * 1000))
    assert (journal.is_due(), journal.is_empty()) == (due, empty)
    journal.close()
    assert (owner_of(tmp_path / "journal") is None) is empty


def test_an_unknown_entry_of_a_later_release_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text('{"sent": {"new": 1}}\n{"later": 1}\n{"floor": 7}\n', encoding="utf-8")
    journal = opened(tmp_path / "journal")
    assert (journal.floor_s, journal.is_empty()) == (7, True)
    journal.close()


def test_a_torn_last_line_is_skipped(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.add("a", message("A"))
    journal.close()
    with (tmp_path / "journal").open("a") as file:
        file.write('{"seen": "b", "mess')
    again = opened(tmp_path / "journal")
    assert list(again.waiting) == ["a"]
    again.close()


def test_a_chat_is_read_from_ten_minutes_before_its_last_message(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW)
    journal.add("a", message("A", NOW + 10_000))
    journal.acknowledge("a")
    assert journal.read_from_s() == {CHAT: NOW + 10_000 - OVERLAP_SECONDS}
    journal.close()


def test_a_reply_does_not_hide_what_was_written_before_it_and_comes_later(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - 100)
    for key, at_s in (("contact|49170@c.us||A|", NOW), ("me|49170@c.us||3EB0|", NOW + 10_000)):
        journal.add(key, message("A", at_s))
        journal.acknowledge(key)
    starts = journal.read_from_s()
    assert starts.get(CHAT, journal.floor_s) == NOW - 100


def test_the_floor_never_sinks(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW)
    journal.raise_floor(NOW - 100)
    assert journal.floor_s == NOW
    journal.close()


def test_it_is_rewritten_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_LINES", 20)
    path = tmp_path / "journal"
    journal = opened(path)
    journal.raise_floor(NOW)
    for index in range(200):
        journal.add(str(index), message(f"M{index}", NOW + 3_600 * index))
        journal.acknowledge(str(index))
    assert len(path.read_text().splitlines()) < 40
    assert journal.knows("199")
    assert not journal.knows("0")
    journal.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    journal.close()


def test_the_text_leaves_the_disk_with_the_acknowledgement(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    journal.raise_floor(NOW - 10)
    for name in "abc":
        journal.add(name, message(name.upper()).model_copy(update={"text": f"canary {name}"}))
    journal.acknowledge("b")
    assert "canary b" not in path.read_text()
    journal.close()
    again = opened(path)
    assert {key: one.text for key, one in again.waiting.items()} == {"a": "canary a", "c": "canary c"}
    again.acknowledge("a")  # its line was written by the rewriting, not appended
    assert "canary a" not in path.read_text()
    assert "canary c" in path.read_text()
    assert opened(path).waiting.keys() == {"c"}
    again.close()


def test_two_wordings_of_one_message_wait_and_are_known_apart(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.add("a|", message("A"))
    journal.add("a|e1", message("A").model_copy(update={"text": "new", "edited_at_ms": 1}))
    journal.acknowledge("a|")
    again = opened(tmp_path / "journal")
    assert [(key, one.text) for key, one in again.waiting.items()] == [("a|e1", "new")]
    assert again.handed_in() == {"a|": NOW, "a|e1": NOW}
    assert not again.knows("a|d")
    journal.close()
    again.close()


def test_the_keys_of_half_a_day_are_kept_whatever_is_read_from(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    for hours in (13, 11, 0):
        journal.add(f"{hours}", message(f"M{hours}", NOW - hours * 3_600))
        journal.acknowledge(f"{hours}")
    journal.raise_floor(NOW - 60)
    journal.close()
    again = opened(path)
    again.close()
    assert opened(path).handed_in() == {"11": NOW - 11 * 3_600, "0": NOW}


def test_a_ciphertext_holds_the_caught_up_time_also_after_a_restart_until_it_is_decrypted(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    journal.raise_floor(NOW - 100)
    journal.add("a|c", message("A", NOW, MessageKind.CIPHERTEXT))
    journal.add("b|", message("B", NOW + 60))
    for key in ("a|c", "b|"):
        journal.acknowledge(key)
    journal.close()
    again = opened(path)
    assert again.caught_up_to_s(NOW + 300, 120, 600) == NOW
    again.add("a|", message("A", NOW))
    again.acknowledge("a|")
    again.close()
    last = opened(path)
    assert last.caught_up_to_s(NOW + 300, 120, 600) == NOW + 60
    last.close()


def test_a_journal_of_an_earlier_release_names_what_was_handed_in(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(json.dumps({"acknowledged": "a|", "chat": CHAT, "second": NOW}) + "\n", encoding="utf-8")
    journal = opened(path)
    assert journal.knows("a|")
    assert journal.handed_in() == {"a|": NOW}
    journal.close()


def test_a_deletion_takes_the_wordings_that_still_wait_with_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    for key, own in (("a|", False), ("a|e1", False), ("own|", True)):
        wording = message("A").model_copy(update={"text": f"canary {key}", "from_me": own})
        journal.add(key, wording)
    journal.add("a|d", message("A").model_copy(update={"text": "", "deleted": True}))
    assert list(journal.waiting) == ["own|", "a|d"]
    assert journal.knows("a|")
    assert "canary a" not in path.read_text()
    journal.close()
