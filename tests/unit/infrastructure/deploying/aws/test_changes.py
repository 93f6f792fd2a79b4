"""A change set as people read it, and a failure explained."""

from infrastructure.deploying.aws.changes import Change, ChangeSet, Kind, explain_failure
from tests.unit.infrastructure.conftest import STACK


def test_the_table_shows_dangerous_changes_first() -> None:
    shown = str(
        ChangeSet(
            "id",
            Kind.UPDATE,
            (Change("Add", "New", "T"), Change("Modify", "Old", "T", "True"), Change("Remove", "Gone", "T")),
        )
    )
    assert [line.split()[:2] for line in shown.splitlines()] == [["remove", "Gone"], ["replace", "Old"], ["add", "New"]]


def test_a_failure_without_a_resource_refers_to_the_events() -> None:
    assert "console" in explain_failure(STACK, "CREATE_FAILED", [])
