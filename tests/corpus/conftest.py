"""Fixtures of the corpus: the line of the unit tests, online on a table in memory."""

from tests.unit.chalicelib.conftest import line
from tests.unit.conftest import aws, clock, logs_of_a_test, memory_table, moto_in_this_process, services

__all__ = ["aws", "clock", "line", "logs_of_a_test", "memory_table", "moto_in_this_process", "services"]
