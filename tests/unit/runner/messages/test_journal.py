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


# -- what is kept, and from when on ------------------------------------------------------------------------------------


def acknowledged(journal: Journal, key: str, at_s: int, chat: str = CHAT) -> None:
    journal.add(key, message("M", at_s).model_copy(update={"chat": chat}))
    journal.acknowledge(key)


@pytest.mark.parametrize(
    ("now_s", "lag", "undecrypted_s", "floor_s", "expected"),
    [
        (NOW + 300, 100, None, NOW - 500, NOW),
        (NOW + 50, 100, None, NOW - 500, NOW - 50),
        (NOW + 300, 100, None, NOW + 7, NOW + 7),
        (NOW + 300, 100, NOW - 100, NOW - 500, NOW - 100),
        (NOW + 300, 100, NOW - 299, NOW - 500, NOW - 299),
        (NOW + 300, 100, NOW - 300, NOW - 500, NOW),
        (NOW + 300, 100, NOW - 100, NOW - 50, NOW - 50),
        (NOW + 300, 100, None, None, None),
    ],
)
def test_it_caught_up_to_the_last_message_minus_the_lag_and_before_what_may_be_decrypted(
    tmp_path: Path, now_s: int, lag: int, undecrypted_s: int | None, floor_s: int | None, expected: int | None
) -> None:
    journal = opened(tmp_path / "journal")
    if floor_s is not None:
        journal.raise_floor(floor_s)
    acknowledged(journal, "a", NOW)
    if undecrypted_s is not None:
        journal.add("c", message("C", undecrypted_s, MessageKind.CIPHERTEXT))
        journal.acknowledge("c")
    assert journal.caught_up_to_s(now_s, lag, 600) == expected
    journal.close()


def test_without_messages_it_caught_up_to_the_floor(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW)
    assert journal.caught_up_to_s(NOW + 9, 0, 600) == NOW
    journal.close()


def test_an_older_message_that_comes_late_does_not_set_a_chat_back(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - OVERLAP_SECONDS)
    acknowledged(journal, "a", NOW + 1)
    acknowledged(journal, "b", NOW - 50)
    assert journal.read_from_s() == {CHAT: NOW + 1 - OVERLAP_SECONDS}
    journal.close()


def test_a_chat_that_begins_at_the_floor_is_none_of_its_own(tmp_path: Path) -> None:
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - OVERLAP_SECONDS)
    acknowledged(journal, "a", NOW)
    assert journal.read_from_s() == {}
    journal.close()


def test_keys_are_kept_for_as_long_as_the_page_may_show_their_messages_again(tmp_path: Path) -> None:
    hour = 3_600
    journal = opened(tmp_path / "journal")
    journal.raise_floor(NOW - 14 * hour)
    acknowledged(journal, "new", NOW)
    for key, at_s in (("edge", NOW - 12 * hour), ("gone", NOW - 12 * hour - 1)):
        acknowledged(journal, key, at_s)
    for chat, at_s in (("quiet@lid", NOW - 13 * hour), ("older@lid", NOW - 15 * hour)):
        acknowledged(journal, f"me|{chat}", at_s, chat)
    acknowledged(journal, "quiet", NOW - 13 * hour, "quiet2@lid")
    again = journal_after_rewriting(journal, tmp_path)
    assert {*again.handed_in()} == {"new", "edge", "me|quiet@lid", "quiet"}
    again.close()


def journal_after_rewriting(journal: Journal, path: Path) -> Journal:
    journal.close()
    return opened(path / "journal")


def test_the_highest_floor_in_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text('{"floor": 7}\n{"floor": 9}\n{"floor": 8}\n', encoding="utf-8")
    journal = opened(tmp_path / "journal")
    assert journal.floor_s == 9
    journal.close()


def test_a_new_journal_says_nothing_and_what_is_no_news_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    assert path.read_text() == ""
    changes: list[str] = []
    journal.on_change = lambda: changes.append("change")
    part = SentPart(CHAT, "turn-0001", 0, "3EB0", NOW * 1000)
    for _ in range(2):
        journal.raise_floor(NOW)
        journal.add_sent(part)
        journal.hold_back(False)
        journal.acknowledge("nobody knows it")
    assert (len(path.read_text().splitlines()), changes) == (2, ["change"])
    journal.close()


def test_a_message_is_known_while_it_waits_and_there_is_never_less_than_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_WAITING", 2)
    journal = opened(tmp_path / "journal")
    room = [journal.free_slots()]
    for key in ("a|", "a|e1", "b|"):
        journal.add(key, message(key[0].upper()))
        room.append(journal.free_slots())
    assert (room, list(journal.waiting)) == ([2, 1, 0, 0], ["a|", "a|e1", "b|"])
    assert journal.knows("a|") and not journal.knows("c|")
    journal.close()


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["MAX_LINES", "MAX_BYTES"])
def test_it_is_appended_to_until_it_is_over_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    path = tmp_path / "journal"
    journal = opened(path)
    journal.add("a", message("A"))
    monkeypatch.setattr(journal_module, limit, 3 * (1 if limit == "MAX_LINES" else path.stat().st_size))
    first = tmp_path / "first"
    first.hardlink_to(path)  # so that no new file gets its inode
    for key in "bc":
        journal.add(key, message(key.upper()))
        assert path.samefile(first)
    journal.add("d", message("D"))
    assert not path.samefile(first)
    journal.close()


@pytest.mark.parametrize("waits", [True, False])
def test_the_owner_goes_when_nothing_waits_or_nothing_can_be_handed_in(tmp_path: Path, waits: bool) -> None:
    for disown in (False, True):
        journal = Journal(tmp_path / "journal", OWN)
        journal.open()
        if waits:
            journal.add("a", message("A"))
        assert owner_of(tmp_path / "journal") == OWN
        journal.close(disown=disown)
        assert (owner_of(tmp_path / "journal") is None) is (disown or not waits)


def test_a_journal_that_is_not_open_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", OWN)
    journal.hold_back(True)
    journal.add("a", message("A"))
    journal.acknowledge("a")
    assert list(tmp_path.iterdir()) == []
    journal.add("b", message("B"))
    journal.open()
    assert owner_of(tmp_path / "journal") == JournalOwner(OWN.epoch, OWN.capability, held_back=True)
    journal.close()
    before = (tmp_path / "journal").read_text()
    journal.acknowledge("b")
    assert (tmp_path / "journal").read_text() == before
