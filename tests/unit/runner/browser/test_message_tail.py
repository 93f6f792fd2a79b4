"""The page reports each wording of a message once and in order, also of one that was handed in before it was loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chalicelib.model import MAX_MESSAGE_AGE
from chalicelib.model.messages.classification import DECRYPTED_WITHIN
from runner.messages import journal
from runner.messages.conversation import DECRYPTION_SECONDS
from tests.unit.support.page_scripts import SCRIPTS, run

ALL = ("values.js", "people.js", "message_content.js", "message_tail.js")
CHAT = "4922@lid"
NOW = 1_795_000_000
HOUR = 3_600
#: What a program has at hand: chats with their messages in memory and in the database, and the runner's calls.
TOOLS = """
  const chatOf = (id, messages, { memory = messages.length } = {}) => {
    DATABASE.set(id, messages);
    const inMemory = memory === 0 ? [] : messages.slice(-memory);
    const last = messages.at(-1);
    CHATS.set(id, {
      id: wid(id), t: last?.t, lastReceivedKey: last?.id, msgs: { getModelsArray: () => inMemory },
    });
  };
  const text = (id, t, more = {}) => messageOf({ id, t, chat: "4922@lid", body: id, ...more });
  const tailOf = async (...request) => (await messageTail.tail(...request)).messages;
  const report = async (since = 0, limit = 200) => {
    const found = await tailOf({}, since, limit);
    messageTail.acknowledge(found.map(({ key }) => key));
    return found.map(({ key }) => key.split("|").slice(3).join("|"));
  };
  const edit = (message, at, body = "new") =>
    Object.assign(message, { body, latestEditMsgKey: {}, latestEditSenderTimestampMs: at });
  const revoke = (message, more = {}) => Object.assign(message, { type: "revoked", body: undefined, ...more });
"""


def play(program: str) -> Any:
    return run(*ALL, program=f"{TOOLS}\nconst NOW = input;\nDate.now = () => NOW * 1000;\n{program}", values=NOW)


def test_its_times_are_those_of_the_journal_and_of_the_control_plane() -> None:
    written = re.findall(r"const (\w+_M?S) = ([\d_]+)(?: \* (\d+))?;", (SCRIPTS / "message_tail.js").read_text())
    times = {name: int(first) * int(second or 1) for name, first, second in written}
    assert {times["CHANGES_WITHIN_S"], journal.CHANGES_WITHIN_SECONDS} == {MAX_MESSAGE_AGE.total_seconds()}
    assert times["UNDECRYPTED_AFTER_S"] == DECRYPTION_SECONDS > DECRYPTED_WITHIN.total_seconds()


def test_messages_of_one_second_stay_in_the_pages_order_also_those_that_are_not_in_memory() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const ids = Array.from({ length: 120 }, (_, place) => `M${place}`);
        const messages = ids.map((id) => text(id, NOW));
        for (const memory of [0, 1, 3]) {
          chatOf(`49${memory}@lid`, messages.map(({ id }) => messageOf({ id: id.id, t: NOW, chat: `49${memory}@lid` })),
            { memory });
        }
        const keys = (await messageTail.tail({}, 0, 1000)).messages.map(({ id, chat }) => [chat, id]);
        return [0, 1, 3].map((memory) => keys.filter(([chat]) => chat === `49${memory}@lid`).map(([, id]) => id));
        """
    )
    assert answer == [[f"M{place}" for place in range(120)]] * 3


def test_a_message_that_came_late_hides_none_that_is_not_in_memory() -> None:
    answer = play(
        """
        messageTail.remember([["contact|4922@lid||A|", NOW - 90]]);
        const messages = [
          text("A", NOW - 90), text("LATE", NOW - 60), text("B", NOW - 40), text("C", NOW - 20), text("D", NOW),
        ];
        chatOf("4922@lid", messages, { memory: 1 });
        CHATS.get("4922@lid").msgs.getModelsArray = () => [messages[1], messages[4]];
        let now = NOW;
        performance.now = () => (now - NOW) * 1000;
        const first = await report(NOW - 600);
        edit(messages[2], NOW * 1000 + 5000);
        now += 601;
        return [first, await report(NOW - 600)];
        """
    )
    assert answer == [["LATE|", "B|", "C|", "D|"], [f"B|e{NOW * 1000 + 5000}"]]


def test_a_message_that_is_waited_for_no_longer_is_found_also_where_it_is_not_in_memory() -> None:
    answer = play(
        """
        let now = NOW;
        Date.now = () => now * 1000;
        performance.now = () => (now - NOW) * 1000;
        messageTail.remember([["contact|4922@lid||A|c", NOW - 60]]);
        chatOf("4922@lid", [text("A", NOW - 60, { type: "ciphertext" }), text("B", NOW)], { memory: 1 });
        const found = [];
        const reads = [];
        for (const seconds of [0, 500, 569, 570, 575]) {
          now = NOW + seconds;
          found.push(await report(NOW - 600));
          reads.push(READS);
        }
        return [found, reads];
        """
    )
    found, reads = answer
    assert found == [["B|"], [], [], ["A|x"], []]
    assert reads[0] == reads[2] < reads[3] == reads[4]


def test_a_page_of_the_database_that_has_no_usable_form_is_read_again_later() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const messages = [text("A", NOW - 2), text("B", NOW - 1), text("C", NOW)];
        chatOf("4922@lid", messages, { memory: 1 });
        const ids = messages.slice(0, 2).map((message) => message.id.id);
        for (const message of messages.slice(0, 2)) message.id.id = undefined;
        const broken = await messageTail.tail({}, 0, 10);
        messages.slice(0, 2).forEach((message, place) => { message.id.id = ids[place]; });
        performance.now = () => 60_000;
        const { messages: found } = await messageTail.tail({}, 0, 10);
        return [broken.messages.length, broken.unreadable, found.map(({ id }) => id)];
        """
    )
    assert answer == [0, 1, ["A", "B", "C"]]


def test_a_new_document_first_learns_what_was_handed_in() -> None:
    answer = play(
        """
        chatOf("4922@lid", [text("A", NOW)]);
        const refused = await messageTail.tail({}, 0, 10).catch(({ code }) => code);
        messageTail.remember([["contact|4922@lid||A|", NOW]]);
        return [refused, await report()];
        """
    )
    assert answer == ["nothing_remembered", []]


def test_an_edit_is_reported_once_and_a_later_one_too() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const message = text("A", NOW);
        chatOf("4922@lid", [message]);
        const first = await report();
        edit(message, NOW * 1000 + 5000);
        const second = [await report(), await report()];
        edit(message, NOW * 1000 + 9000);
        return [first, ...second, await report()];
        """
    )
    assert answer == [["A|"], [f"A|e{NOW * 1000 + 5000}"], [], [f"A|e{NOW * 1000 + 9000}"]]


def test_an_older_wording_is_never_reported_after_a_newer_one() -> None:
    answer = play(
        """
        chatOf("4922@lid", [text("A", NOW), edit(text("B", NOW), NOW * 1000 + 1000)]);
        messageTail.remember([["contact|4922@lid||A|d", NOW], [`contact|4922@lid||B|e${NOW * 1000 + 2000}`, NOW]]);
        return await report();
        """
    )
    assert answer == []


def test_changes_are_found_after_a_restart_for_half_a_day_whatever_is_read_from() -> None:
    answer = play(
        f"""
        const age = {{ young: NOW - 11 * {HOUR}, old: NOW - 13 * {HOUR} }};
        const messages = [
          edit(text("old", age.old), NOW * 1000), edit(text("A", age.young), NOW * 1000),
          revoke(text("B", age.young)), text("same", age.young), text("unknown", age.young), text("last", NOW - {HOUR}),
        ];
        chatOf("4922@lid", messages, {{ memory: 1 }});
        messageTail.remember(["old", "A", "B", "same", "last"].map((id, place) =>
          [`contact|4922@lid||${{id}}|`, messages[[0, 1, 2, 3, 5][place]].t]));
        return [await report(NOW - 600), await report(NOW - 600), READS];
        """
    )
    keys, again, reads = answer
    assert keys == [f"A|e{NOW * 1000}", "B|d"]
    assert again == []
    assert reads <= 3, "the database is not read with each sweep"


def test_a_deletion_has_the_id_of_what_it_deleted() -> None:
    answer = play(
        """
        messageTail.remember([["contact|4922@lid||A|", NOW]]);
        chatOf("4922@lid", [revoke(text("REVOCATION", NOW), { protocolMessageKey: { id: "A" } })]);
        const [found] = await tailOf({}, 0, 10);
        return [found.id, found.deleted, found.text, found.key];
        """
    )
    assert answer == ["A", True, "", f"contact|{CHAT}||A|d"]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_change_that_comes_right_behind_an_old_message_is_reported_too(is_deleted: bool) -> None:
    """After half a day offline WhatsApp brings a message, and then that its author changed it, both long ago."""
    answer = play(
        f"""
        messageTail.remember([]);
        const message = text("A", NOW - {13 * HOUR});
        chatOf("4922@lid", [message]);
        const first = await report();
        const change = () => {"revoke(message)" if is_deleted else "edit(message, 5)"};
        change();
        const unseen = await report(NOW);
        messageTail.reread(message.id);
        return [first, unseen, await report(NOW), await report(NOW)];
        """
    )
    assert answer == [["A|"], [], ["A|d" if is_deleted else "A|e5000"], []]


def test_a_change_of_an_old_message_that_another_runner_had_is_reported_once_the_page_hears_of_it() -> None:
    answer = play(
        f"""
        messageTail.remember([]);
        const [heard, quiet] = ["A", "B"].map((id) => revoke(text(id, NOW - {13 * HOUR})));
        chatOf("4922@lid", [heard, quiet]);
        messageTail.reread(heard.id);
        return [await report(NOW), await report(NOW)];
        """
    )
    assert answer == [["A|d"], []]


def test_a_deletion_is_reported_also_of_what_this_runner_never_had() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const message = text("A", NOW);
        chatOf("4922@lid", [message, revoke(text("B", NOW))]);
        const before = (await tailOf({}, 0, 10)).map(({ id, deleted }) => [id, deleted]);
        revoke(message);
        const after = (await tailOf({}, 0, 10)).map(({ id, deleted, text }) => [id, deleted, text]);
        messageTail.acknowledge(["contact|4922@lid||A|"]); // the runner had it already in its hands
        return [before, after, await report(), await report()];
        """
    )
    deleted = [["A", True, ""], ["B", True, ""]]
    assert answer == [[["A", False], ["B", True]], deleted, ["A|d", "B|d"], []]


def test_a_message_that_is_edited_before_it_was_handed_in_is_reported_in_its_newest_wording() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const message = text("A", NOW);
        chatOf("4922@lid", [message]);
        await tailOf({}, 0, 10);
        edit(message, NOW * 1000 + 1);
        return (await tailOf({}, 0, 10)).map(({ text, edited_at_ms: at }) => [text, at]);
        """
    )
    assert answer == [["new", NOW * 1000 + 1]]


def test_a_message_that_cannot_be_decrypted_is_reported_twice_and_once_more_when_it_can_be() -> None:
    answer = play(
        f"""
        messageTail.remember([]);
        const message = text("A", NOW - 10, {{ type: "ciphertext", body: undefined }});
        chatOf("4922@lid", [message]);
        const first = [await report(), await report()];
        message.t = NOW - 631;
        const second = [await report(), await report()];
        message.t = NOW - 11 * {HOUR};
        Object.assign(message, {{ type: "chat", body: "late" }});
        return [...first, ...second, await report(NOW), await report(NOW)];
        """
    )
    assert answer == [["A|c"], [], ["A|x"], [], ["A|"], []]


def test_late_decryption_is_found_after_a_restart_and_not_after_half_a_day() -> None:
    answer = play(
        f"""
        const [young, old] = [NOW - 11 * {HOUR}, NOW - 13 * {HOUR}];
        chatOf("4922@lid", [text("old", old), text("A", young), text("last", NOW)], {{ memory: 1 }});
        messageTail.remember([["contact|4922@lid||A|x", young], ["contact|4922@lid||old|x", old]]);
        return await report(NOW);
        """
    )
    assert answer == ["A|", "last|"]


def test_only_chats_of_people_are_read() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const ids = ["4922@lid", "491702222222@c.us", "1203@g.us", "4944@bot", "4955@hosted", "4966@hosted.lid",
          "12@newsletter", "status@broadcast", "13@broadcast", "0@c.us", "13135550002@c.us", "491701111111@c.us",
          "4911@lid"];
        for (const id of ids) chatOf(id, [messageOf({ id: "A", t: NOW, chat: id, body: "hello" })]);
        return (await tailOf({}, 0, 50)).map(({ chat }) => chat).sort();
        """
    )
    assert answer == ["1203@g.us", "491702222222@c.us", "4922@lid"]


def test_entries_of_whatsapp_itself_are_no_messages() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const types = ["e2e_notification", "notification_template", "gp2", "call_log", "protocol", "reaction",
          "automated_greeting_message", "album", undefined];
        chatOf("4922@lid", [...types.map((type, place) => text(`N${place}`, NOW, { type })), text("A", NOW)]);
        return await report();
        """
    )
    assert answer == ["A|"]


def test_who_wrote_is_reported_by_name_and_number_as_far_as_the_page_knows() -> None:
    answer = play(
        """
        messageTail.remember([]);
        CONTACTS.set("491702222222@c.us", { name: "Ann (bakery)", isAddressBookContact: 1 });
        CONTACTS.set("4922@lid", { pushname: "Ann" });
        CONTACTS.set("491703333333@c.us", { isAddressBookContact: 0 });
        const group = (id, participant, more) =>
          messageOf({ id, t: NOW, chat: "1203@g.us", participant, body: "hi", ...more });
        chatOf("4922@lid", [text("saved", NOW), text("own", NOW, { from_me: true })]);
        chatOf("4933@lid", [messageOf({ id: "shown", t: NOW, chat: "4933@lid", notifyName: " Bob ", body: "hi" })]);
        chatOf("4977@lid", [messageOf({ id: "nobody", t: NOW, chat: "4977@lid", body: "hi" })]);
        chatOf("1203@g.us", [group("group", "491703333333:5@c.us", { notifyName: "Bob" }),
          group("ours", "491701111111@c.us", { from_me: true })]);
        const found = await tailOf({}, 0, 50);
        return Object.fromEntries(found.map(({ id, author, phone, sender, saved_contact: saved, chat_alias: alias }) =>
          [id, [author, phone, sender, saved, alias]]));
        """
    )
    assert answer == {
        "saved": ["Ann (bakery)", "491702222222", None, True, "491702222222@c.us"],
        "own": ["", "491702222222", None, True, "491702222222@c.us"],
        "shown": ["Bob", "491703333333", None, False, "491703333333@c.us"],
        "nobody": ["", None, None, None, None],
        "group": ["Bob", "491703333333", "491703333333@c.us", None, None],
        "ours": ["", None, "491701111111@c.us", None, None],
    }


def test_a_chat_is_as_old_as_its_oldest_message_also_in_the_database() -> None:
    answer = play(
        f"""
        messageTail.remember([]);
        const notice = text("N", NOW - 900 * {HOUR}, {{ type: "e2e_notification" }});
        chatOf("4922@lid", [notice, text("OLD", NOW - 800 * {HOUR}), text("A", NOW)], {{ memory: 1 }});
        chatOf("4933@lid", [messageOf({{ id: "B", t: NOW, chat: "4933@lid", body: "first" }})]);
        const since = (found) => Object.fromEntries(found.map(({{ id, chat_since_ms: at }}) => [id, at]));
        const found = since(await tailOf({{}}, NOW, 50));
        const reads = READS;
        await tailOf({{}}, NOW, 50);
        return [found, READS - reads];
        """
    )
    found, reads_again = answer
    assert found == {"A": (NOW - 800 * HOUR) * 1000, "B": NOW * 1000}
    assert reads_again == 0


def test_a_message_of_which_nothing_can_be_read_keeps_nobody_from_the_others() -> None:
    answer = play(
        """
        messageTail.remember([]);
        const thrower = (message, name) =>
          Object.defineProperty(message, name, { get() { throw new TypeError(name); } });
        chatOf("4922@lid", [thrower(text("A", NOW), "id"), thrower(text("B", NOW), "body"), null, text("C", NOW)]);
        return (await tailOf({}, 0, 10)).map(({ id, kind, text }) => [id, kind, text ?? null]);
        """
    )
    assert answer == [["B", "other", None], ["C", "text", "C"]]


BREAK = """
  const wait = setTimeout;
  globalThis.setTimeout = (done, ms, ...values) => wait(done, ms / 1000, ...values);
  messageTail.remember([]);
  const each = (id, place, more = {}) => messageOf({ id, chat: `${4900 + place}@lid`, t: NOW, body: id, ...more });
  const thrown = () => { throw new TypeError("drifted"); };
  const broken = {
    "its query fails": (id) => { FAILING.add(id); },
    "its query never answers": (id) => { HANGING.add(id); },
    "its query answers with nothing": (id) => { DATABASE.set(id, null); },
    "its messages in memory are gone": (id) => { CHATS.get(id).msgs = undefined; },
    "no message has an id": (id) => {
      CHATS.get(id).msgs.getModelsArray = () => [{ ...each("M", 0), id: undefined }, { ...each("N", 0), id: {} }];
    },
    "its messages throw": (id) => {
      CHATS.get(id).msgs.getModelsArray = () => [Object.defineProperty(each("M", 0), "type", { get: thrown })];
    },
    "its time throws": (id) => { Object.defineProperty(CHATS.get(id), "t", { get: thrown }); },
  };
"""
WAYS = (
    "its query fails",
    "its query never answers",
    "its query answers with nothing",
    "its messages in memory are gone",
    "no message has an id",
    "its messages throw",
    "its time throws",
)


@pytest.mark.parametrize("way", WAYS)
def test_a_chat_that_cannot_be_read_is_left_out_and_counted(way: str) -> None:
    answer = play(
        f"""
        {BREAK}
        for (const place of [1, 2, 3]) {{
          chatOf(`490${{place}}@lid`, [each("A", place), each("B", place)], {{ memory: 1 }});
        }}
        broken["{way}"]("4902@lid");
        const {{ messages, ...rest }} = await messageTail.tail({{}}, 0, 10);
        return [messages.map(({{ chat, id }}) => chat + id).sort(), rest];
        """
    )
    assert answer == [
        ["4901@lidA", "4901@lidB", "4903@lidA", "4903@lidB"],
        {"unreadable": 1, "readable": True},
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_page_of_which_no_chat_can_be_read_is_not_readable(way: str) -> None:
    answer = play(
        f"""
        {BREAK}
        for (const place of [1, 2]) {{
          chatOf(`490${{place}}@lid`, [each("A", place), each("B", place)], {{ memory: 1 }});
          broken["{way}"](`490${{place}}@lid`);
        }}
        return await messageTail.tail({{}}, 0, 10);
        """
    )
    assert answer == {"messages": [], "unreadable": 2, "readable": False}


def test_the_only_chat_with_something_new_does_not_speak_for_the_whole_page() -> None:
    """Another chat, in which nothing is new, is read to find out."""
    answer = play(
        f"""
        {BREAK}
        for (const place of [1, 2]) chatOf(`490${{place}}@lid`, [each("A", place, {{ t: NOW - place * 1000 }}),
          each("B", place, {{ t: NOW - place * 1000 }})], {{ memory: 1 }});
        broken["its query fails"]("4901@lid");
        const one = await messageTail.tail({{}}, NOW - 1500, 10);
        broken["its query fails"]("4902@lid");
        return [one, await messageTail.tail({{}}, NOW - 1500, 10)];
        """
    )
    assert [(tail["unreadable"], tail["readable"]) for tail in answer] == [(1, True), (1, False)]


def test_a_chat_that_can_be_read_again_is_handed_in_completely_and_in_order() -> None:
    answer = play(
        f"""
        {BREAK}
        chatOf("4901@lid", [each("A", 1, {{ t: NOW - 5 }}), each("B", 1)], {{ memory: 1 }});
        FAILING.add("4901@lid");
        const first = await report();
        FAILING.clear();
        const reads = READS;
        const second = [await report(), READS - reads];
        const later = performance.now() + 31_000;
        performance.now = () => later;
        return [first, second, await report(), (await messageTail.tail({{}}, 0, 10)).unreadable];
        """
    )
    assert answer == [[], [[], 0], ["A|", "B|"], 0]


def test_a_sweep_over_ten_thousand_chats_reads_no_database() -> None:
    answer = play(
        f"""
        for (let place = 0; place < 10_000; place += 1) {{
          const chat = `${{700_000 + place}}@lid`;
          const at = place < 300 ? NOW - {HOUR} - place : NOW - 100 * {HOUR};
          chatOf(chat, Array.from({{ length: 20 }}, (_, index) =>
            messageOf({{ id: `M${{index}}`, chat, t: at - 20 + index, body: "hi" }})));
          if (place < 300) messageTail.remember(Array.from({{ length: 20 }}, (_, index) =>
            [`contact|${{chat}}||M${{index}}|`, at - 20 + index]));
        }}
        await tailOf({{}}, NOW - 600, 200);
        const reads = READS;
        const times = [];
        for (let sweep = 0; sweep < 5; sweep += 1) {{
          const begun = performance.now();
          await tailOf({{}}, NOW - 600, 200);
          times.push(performance.now() - begun);
        }}
        return [READS - reads, times.sort((a, b) => a - b)[2]];
        """
    )
    assert answer[0] == 0
