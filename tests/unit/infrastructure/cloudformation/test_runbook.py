"""The runbook has a row for each alarm, and none for alarms that do not exist."""

import re
from typing import Any

from infrastructure.checkout import REPOSITORY
from infrastructure.deploying.settings import REMEMBERED
from infrastructure.packaging import template

ROOT = REPOSITORY
WATCHING = template.load(ROOT / "infrastructure" / "cloudformation" / "watching.yaml")["Resources"]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in RUNBOOK.splitlines() if "<a id=" in line]
ANCHORS = [re.findall(r'<a id="([^"]+)"></a>', row[0]) for row in ROWS]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in WATCHING.values() if resource["Type"] == kind]


def name(properties: dict[str, Any], attribute: str) -> str:
    """Returns the name without the stack's name before it."""
    return re.sub(r"^\$\{AWS::StackName\}.", "", properties[attribute]["Fn::Sub"])


def test_each_alarm_has_its_row_and_each_row_its_alarm() -> None:
    assert sorted(anchor for row in ANCHORS for anchor in row) == sorted(
        name(alarm, "AlarmName") for alarm in of_kind("AWS::CloudWatch::Alarm")
    )


def test_each_alarm_leads_to_its_own_row() -> None:
    for alarm in of_kind("AWS::CloudWatch::Alarm"):
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#{name(alarm, 'AlarmName')}")
    for alarm in of_kind("AWS::CloudWatch::CompositeAlarm"):
        assert alarm["AlarmDescription"].endswith("docs/runbook.md#runbook")


def test_a_row_is_about_one_alarm_and_says_what_it_means_where_to_look_and_what_to_do() -> None:
    for row, anchors in zip(ROWS, ANCHORS, strict=True):
        assert len(row) == 4 and all(row), row
        assert row[0].endswith(f"**{anchors[0]}**") and len(anchors) == 1


def test_the_queries_it_names_are_saved() -> None:
    saved = {name(query, "Name") for query in of_kind("AWS::Logs::QueryDefinition")}
    named = {found for row in ROWS for cell in row for found in re.findall(r"query \*([^*]+)\*", cell)}
    assert named and named <= saved


def test_what_it_refers_to_by_name_exists() -> None:
    """An alarm in italics is another row."""
    anchors = {anchor for row in ANCHORS for anchor in row}
    for row in ROWS:
        for word in re.findall(r"\*((?:[a-z0-9]+-)+[a-z0-9]+)\*", " ".join(row[1:])):
            assert word in anchors, word


def test_what_it_says_to_give_to_make_is_a_setting() -> None:
    of_stages = (ROOT / "docs/deploy.md").read_text().partition("\n## The image\n")[0]
    settings = set(re.findall(r"\b([A-Z][A-Z_0-9]+)=", of_stages + RUNBOOK))
    of_one_machine_or_secret = {"DATA", "OPERATORS_WEBHOOK"}
    assert settings - {"STAGE", "TO", "AWS_REGION"} - of_one_machine_or_secret <= set(REMEMBERED)
    assert {"MAIL_FROM", "OPERATORS_EMAIL", "RUNNER_CAPACITY"} <= settings


def test_each_saved_query_has_a_line_that_says_what_it_answers() -> None:
    rows = re.findall(r"^\| \*([^*]+)\* \| (.+) \|$", RUNBOOK.partition("\n## Saved queries\n")[2], re.MULTILINE)
    assert sorted(query for query, _ in rows) == sorted(
        name(each, "Name") for each in of_kind("AWS::Logs::QueryDefinition")
    )
    assert all(answers.strip() for _, answers in rows)
