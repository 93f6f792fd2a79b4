"""The items of runners as values of the model."""

from chalicelib.model import Assignment, Draining, Runner
from chalicelib.store.expressions import Item
from chalicelib.store.records.reader import each, readable, value_of
from chalicelib.store.records.wire_enums import read_enum
from wire import Wanted


@readable
def runner_from(item: Item) -> Runner:
    """Returns the runner that this item holds, with those sessions whose entry can be read. Raises Unreadable."""
    witness = item.get("witness")
    entries = (
        {
            "pk": f"TENANT#{tenant}",
            "sk": "ASSIGNMENT",
            "entry": entry,
            "probe": item.get("probes", {}).get(tenant, 0),
            "save": item.get("saves", {}).get(tenant, {}),
        }
        for tenant, entry in sorted(item.get("assigned", {}).items())
    )
    return value_of(
        Runner,
        id=item["pk"].removeprefix("RUNNER#"),
        state=item["state"],
        token_sha256=item["token_sha256"],
        lease_until=item["lease_until"],
        capacity=item["capacity"],
        registered_at=item["registered_at"],
        lease_held_since=item.get("heard_since", 0),
        assigned=tuple(each(entries, _assignment_from)),
        task=item.get("task", ""),
        image=item.get("image", ""),
        commit=item.get("commit", ""),
        chromium=item.get("chromium", ""),
        wa_js=item.get("wa_js", ""),
        disk=item.get("disk", ""),
        disk_full=item.get("disk_full", False),
        witness=(witness, item["witnessed_at"]) if witness else None,
        protected_until=item.get("protected_until", 0),
        draining=value_of(Draining, **item["draining"]) if item.get("draining") else None,
        end_requested=item.get("drain", False),
    )


@readable
def _assignment_from(item: Item) -> Assignment:
    """Returns an entry of a runner's sessions: its parts of the runner's item, under the tenant's key."""
    entry, save = item["entry"], item["save"]
    return value_of(
        Assignment,
        tenant=item["pk"].removeprefix("TENANT#"),
        epoch=entry["epoch"],
        wanted=read_enum(Wanted, entry.get("wanted")),
        sequence=entry.get("sequence", 0),
        awake_until=entry.get("watched_until", 0),
        pair_with=entry.get("pair_with"),
        pair_ordered_at=entry.get("pair_ordered_at"),
        number=entry.get("number"),
        caught_up_to=entry.get("caught_up_to"),
        last_epoch=entry.get("last_epoch"),
        try_again_at=entry.get("try_again_at", 0),
        claimed_at=entry.get("claimed_at", 0),
        probed_at=item["probe"],
        saved_at=save.get("at"),
        save_problem=save.get("problem", ""),
    )
