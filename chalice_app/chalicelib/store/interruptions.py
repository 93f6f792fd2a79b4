"""Work that a sign-in interrupted: the page where somebody was going, and the form that an operator had filled in.

Both stay on this side: the browser holds only the name of a place, and no address may lead elsewhere.
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from chalicelib.model import milliseconds
from chalicelib.store.table import Table, Update
from chalicelib.store.timeline import seconds
from chalicelib.tokens import sha256

#: A page that somebody was going to is remembered this long.
PATH_KEPT_FOR: Final = timedelta(hours=1)
#: A form that was not saved is offered again this long.
FORM_KEPT_FOR: Final = timedelta(hours=12)
#: An item of DynamoDB has at most 400 KB.
MAX_FORM_BYTES: Final = 200_000
#: Fields that are never stored: secrets, and the token of the page that posted the form.
NEVER_KEPT: Final = frozenset({"api_key", "csrf"})
#: A path of our own pages for operators.
SHAPE_OF_PATH: Final = re.compile(r"/admin(?:/[a-z0-9-]{1,64}){0,4}", re.ASCII)


class Interruptions:
    """The pages and forms that wait for a sign-in.

    Args:
        table: the one table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def keep_path(self, place_sha256: str, path: str, *, now: int) -> None:
        """Stores the path under a new secret name; only our own paths are taken."""
        if not SHAPE_OF_PATH.fullmatch(path):
            return
        until = now + milliseconds(PATH_KEPT_FOR)
        self._table.update(Update(f"OPERATOR#{place_sha256}", "PATH", set={"path": path, "expires_at": seconds(until)}))

    def find_path(self, place_sha256: str, *, now: int) -> str | None:
        """Returns the path that was stored under this name; None if there is none or it is too old."""
        item = self._table.get(f"OPERATOR#{place_sha256}", "PATH")
        if item is None or int(item["expires_at"]) <= seconds(now) or not SHAPE_OF_PATH.fullmatch(item["path"]):
            return None
        return str(item["path"])

    def keep_form(self, email: str, path: str, fields: Mapping[str, str], *, now: int) -> bool:
        """Stores a form of this operator, without secrets, in place of a former one; False if it is too long."""
        kept = json.dumps({name: value for name, value in fields.items() if name not in NEVER_KEPT})
        if len(kept.encode()) > MAX_FORM_BYTES:
            return False
        until = now + milliseconds(FORM_KEPT_FOR)
        self._table.update(Update(*_form_key(email, path), set={"fields": kept, "expires_at": seconds(until)}))
        return True

    def find_form(self, email: str, path: str, *, now: int) -> dict[str, str] | None:
        """Returns the fields that this operator filled in and that were not saved; None if there are none."""
        item = self._table.get(*_form_key(email, path))
        if item is None or int(item["expires_at"]) <= seconds(now):
            return None
        fields: dict[str, str] = json.loads(item["fields"])
        return fields

    def delete_form(self, email: str, path: str) -> None:
        """Deletes the form, because it was saved."""
        self._table.delete(*_form_key(email, path))


def _form_key(email: str, path: str) -> tuple[str, str]:
    return f"OPERATOR#{sha256(email.strip().lower())}", f"FORM#{path}"
