"""The plan of a month has as many messages as it says, on every day, in the order of time, before its end."""

import random
from collections import Counter

from tests.soak.plan import DAY_MS, TAKEOVERS_PER_DAY, Size, client_id, contact_number, phone_number, write_month
from wire import MessageKind

END = 1_790_000_000_000


def test_every_day_has_its_messages_before_the_end_and_in_order() -> None:
    size = Size(1, days=7, messages_per_day=40)
    written = write_month(random.Random(1), size, END)
    by_day = Counter((one.at - END) // DAY_MS for one in written if not one.from_me)
    assert by_day == dict.fromkeys(range(-7, 0), 40)
    assert sum(one.from_me for one in written) == 7 * TAKEOVERS_PER_DAY
    assert [one.at for one in written] == sorted(one.at for one in written)
    assert written[-1].at < END


def test_a_few_contacts_write_most_and_some_messages_have_no_words() -> None:
    written = [one for one in write_month(random.Random(2), Size(1), END) if not one.from_me]
    (most, count), *_ = Counter(one.contact for one in written).most_common()
    assert most == 0
    assert len(written) / 10 < count < len(written) / 2
    assert all((one.text == "") == (one.kind is not MessageKind.TEXT) for one in written)
    assert 0.01 < sum(not one.text for one in written) / len(written) < 0.1


def test_the_same_seed_writes_the_same() -> None:
    first, second = (write_month(random.Random(3), Size(1, days=2), END) for _ in range(2))
    assert first == second


def test_names_of_one_kind_are_as_long_as_one_another_and_differ() -> None:
    for name in (client_id, phone_number, lambda number: contact_number(number, 7)):
        names = {name(number) for number in range(1, 51)}
        assert len(names) == 50
        assert len({len(each) for each in names}) == 1
    assert Size(50).messages == 150_000
