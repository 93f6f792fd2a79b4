"""Changes that would lose data."""

import pytest

from infrastructure.deploying.aws.changes import Change
from infrastructure.deploying.stateful_resources import data_loss


def table(action: str, replacement: str = "False") -> Change:
    return Change(action, "Table", "AWS::DynamoDB::Table", replacement)


@pytest.mark.parametrize(
    "change", [table("Remove"), table("Modify", "True"), table("Modify", "Conditional")], ids=lambda c: c.word
)
def test_a_loss_of_data_is_found(change: Change) -> None:
    assert "Table" in data_loss([change])[0]


@pytest.mark.parametrize(
    "change",
    [
        table("Add"),
        table("Modify"),
        table("Import"),
        Change("Remove", "Queue", "AWS::SQS::Queue"),
        Change("Modify", "Service", "AWS::ECS::Service", "True"),
    ],
    ids=lambda change: f"{change.word} {change.resource}",
)
def test_other_changes_lose_no_data(change: Change) -> None:
    assert data_loss([change]) == []


def test_an_operator_can_rule_out_a_possible_replacement_but_not_a_certain_one() -> None:
    assert data_loss([table("Modify", "Conditional")], {"Table"}) == []
    assert data_loss([table("Modify", "True")], {"Table"})
    assert data_loss([table("Remove")], {"Table"})
