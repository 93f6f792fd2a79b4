"""The erasure of deleted tenants: everything of theirs goes, nothing of any other one does."""

import json
import urllib.request
from pathlib import Path

import pytest

from infrastructure.local.aws import Aws
from infrastructure.local.backup.deletions import Deletion, Ledger
from infrastructure.local.backup.erasure import erase, owner_of, record

pytestmark = pytest.mark.thorough

TABLE = "answerline-local"
#: pk and sk, and the tenant of the attribute of this name
ITEMS = [
    ("TENANT#{}", "TENANT", None),
    ("TENANT#{}", "SESSION", "{}"),
    ("TENANT#{}", "EVENT#1#x", None),
    ("CHAT#{}#15550100@c.us", "CHAT", None),
    ("CHAT#{}#15550100@c.us", "MESSAGE#contact#3EB0", None),
    ("CHAT#{}#99@g.us#1", "TURN#x", "{}"),
    ("INVITE#{}0ab1", "INVITE", "{}"),
]
OTHERS = [("RUNNER#r", "RUNNER", None), ("FLEET", "FLEET", None), ("OPERATOR#ab", "OPERATOR", None)]
OTHERS += [("TENANT#sign-in", "COUNTER#x#y", None)]
Key = tuple[str, str]


@pytest.fixture
def aws(moto_url: str) -> Aws:
    """A table with two tenants and the items of nobody, and an empty bucket that keeps versions."""
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    aws = Aws.with_new_key(moto_url, moto_url)
    dynamodb, s3 = aws.client("dynamodb"), aws.client("s3")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    # "bakery2": no prefix of a name may be taken for the name.
    for tenant in ("bakery", "bakery2"):
        for pk, sk, named in ITEMS:
            attributes = {"tenant": {"S": named.format(tenant)}} if named else {}
            item = {"pk": {"S": pk.format(tenant)}, "sk": {"S": sk}, **attributes}
            dynamodb.put_item(TableName=TABLE, Item=item)
    for pk, sk, _ in OTHERS:
        dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": pk}, "sk": {"S": sk}})
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    return aws


def keys(aws: Aws) -> set[Key]:
    items = aws.client("dynamodb").scan(TableName=TABLE)["Items"]
    return {(item["pk"]["S"], item["sk"]["S"]) for item in items}


def versions(aws: Aws) -> list[str]:
    listed = aws.client("s3").list_object_versions(Bucket="data")
    return sorted(each["Key"] for each in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])))


def test_all_items_of_a_tenant_go(aws: Aws, tmp_path: Path) -> None:
    before = keys(aws)
    assert erase(aws, TABLE, tmp_path, {"bakery", "never-there"}) == 1
    gone = {(pk.format("bakery"), sk) for pk, sk, _ in ITEMS}
    assert len(gone) == len(ITEMS) and keys(aws) == before - gone
    assert erase(aws, TABLE, tmp_path, {"bakery"}) == 0, "again: nothing is left to do"


def test_more_items_than_one_request_takes_go(aws: Aws, tmp_path: Path) -> None:
    for number in range(60):
        item = {"pk": {"S": f"CHAT#bakery#{number}@c.us"}, "sk": {"S": "CHAT"}}
        aws.client("dynamodb").put_item(TableName=TABLE, Item=item)
    erase(aws, TABLE, tmp_path, {"bakery"})
    assert not [pk for pk, _ in keys(aws) if pk.startswith("CHAT#bakery#")]


def test_all_versions_of_its_objects_go(aws: Aws, tmp_path: Path) -> None:
    s3 = aws.client("s3")
    for key in (
        "profiles/bakery/a",
        "profiles/bakery/a",
        "profiles/bakery2/a",
        "media/bakery/x/y",
        "bakery",
        "x/y/bakery",
    ):
        s3.put_object(Bucket="data", Key=key, Body=b"x")
    s3.delete_object(Bucket="data", Key="profiles/bakery/a")
    record(aws, Ledger(frozenset({Deletion("bakery", 5)})))
    erase(aws, TABLE, tmp_path, {"bakery"})
    assert versions(aws) == ["bakery", "deletions/bakery", "profiles/bakery2/a", "x/y/bakery"]


def test_its_mails_profiles_and_journals_go(aws: Aws, tmp_path: Path) -> None:
    outbox = tmp_path / "ministack" / "outbox"
    (outbox / "relayed").mkdir(parents=True)
    for name, tags in {"a": {"tenant": "bakery"}, "b": {"tenant": "bakery2"}, "c": {}}.items():
        (outbox / f"{name}.json").write_text(json.dumps({"identifier": f"{name}@x", "tags": tags}))
        (outbox / "relayed" / name).touch()
    (outbox / "d.json").write_text("no mail")
    for slot in ("slot-1", "slot-2"):
        for tenant in ("bakery", "bakery2"):
            (tmp_path / "runners" / slot / tenant / "current").mkdir(parents=True)
            (tmp_path / "runners" / slot / tenant / "journal.jsonl").touch()
    erase(aws, TABLE, tmp_path, {"bakery"})
    assert sorted(path.name for path in outbox.glob("*.json")) == ["b.json", "c.json", "d.json"]
    assert sorted(path.name for path in (outbox / "relayed").iterdir()) == ["b", "c"]
    homes = {path.relative_to(tmp_path / "runners").as_posix() for path in (tmp_path / "runners").glob("*/*")}
    assert homes == {"slot-1/bakery2", "slot-2/bakery2"}


def test_no_job_that_names_a_chat_stays(aws: Aws, tmp_path: Path) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody='{"tenant": "bakery", "chat": "15550100@c.us"}')
    erase(aws, TABLE, tmp_path, {"bakery"})
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_deletion_is_recorded_once_with_its_first_time(aws: Aws) -> None:
    record(aws, Ledger(frozenset({Deletion("bakery", 5)})))
    record(aws, Ledger(frozenset({Deletion("bakery", 9), Deletion("garage", 7)})))
    assert versions(aws) == ["deletions/bakery", "deletions/garage"]
    body = aws.client("s3").get_object(Bucket="data", Key="deletions/bakery")["Body"].read()
    assert Ledger.of_bytes(body, "x") == Ledger(frozenset({Deletion("bakery", 5)}))


@pytest.mark.parametrize(
    ("pk", "named", "owner"),
    [
        ("TENANT#a", None, "a"),
        ("CHAT#a#15550100@c.us", None, "a"),
        ("CHAT#a#1#2@g.us", "b", "a"),
        ("INVITE#0ab1", "a", "a"),
        ("INVITE#0ab1", None, None),
        ("RUNNER#r", None, None),
        ("FLEET", None, None),
    ],
)
def test_the_owner_of_an_item(pk: str, named: str | None, owner: str | None) -> None:
    assert owner_of({"pk": {"S": pk}, **({"tenant": {"S": named}} if named else {})}) == owner
