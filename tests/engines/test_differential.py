"""Random operations on every engine: the answers, the errors and what the tables hold in the end are the same."""

import pytest
from hypothesis import HealthCheck, given, settings
from moto import mock_aws

from chalicelib.store.table import Table
from tests.engines.deviations import DEVIATIONS, Deviation, explain
from tests.engines.dynoxide import Dynoxide, client_of, new_table
from tests.engines.operations import Operation, sequences
from tests.engines.results import PagedClient, contents, perform
from tests.simulation.memory_table import MemoryTable

#: A sequence of about twenty operations takes a tenth of a second.
EXAMPLES = 30


@pytest.mark.dynoxide
def test_every_engine_answers_the_same_and_ends_with_the_same(dynoxide: Dynoxide) -> None:
    """The table in memory is the rule; another engine deviates only where the list of deviations says so."""

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(sequences)
    def compare(sequence: list[Operation]) -> None:
        memory = MemoryTable()
        tables = {
            "moto": new_table(PagedClient(moto), "differential"),
            "dynoxide": new_table(PagedClient(dynoxide.client()), "differential"),
        }
        for operation in sequence:
            expected = perform(memory, operation)
            for engine, table in list(tables.items()):
                result = perform(table, operation)
                deviation = explain(engine, operation, expected, result)
                assert result == expected or deviation, (engine, operation, expected, result)
                if deviation:
                    del tables[engine]  # it may hold something else from here on
        for engine, table in tables.items():
            assert contents(table) == contents(memory), engine

    with mock_aws():
        moto = client_of(None)
        compare()


@pytest.mark.dynoxide
@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.sentence)
def test_an_engine_deviates_as_the_list_says(deviation: Deviation, dynoxide: Dynoxide) -> None:
    """An engine that was mended must leave the list."""
    with mock_aws():
        tables: dict[str, Table] = {
            "memory": MemoryTable(),
            "moto": new_table(client_of(None), "deviation"),
            "dynoxide": new_table(dynoxide.client(), "deviation"),
        }
        *before, last = deviation.example
        for table in tables.values():
            for operation in before:
                perform(table, operation)
        results = {engine: perform(table, last) for engine, table in tables.items()}
    deviant = results.pop(deviation.engine)
    assert deviant != deviation.rule
    assert all(result == deviation.rule for result in results.values())
