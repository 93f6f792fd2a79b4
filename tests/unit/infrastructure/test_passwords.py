"""Passwords of new operators."""

from infrastructure.passwords import new_password


def test_a_first_password_meets_the_pools_policy_and_reads_aloud() -> None:
    for _ in range(50):
        password = new_password()
        assert len(password) >= 12
        assert any(map(str.isupper, password))
        assert any(map(str.islower, password))
        assert any(map(str.isdigit, password))
        assert not set(password) & set("0OIl1")
