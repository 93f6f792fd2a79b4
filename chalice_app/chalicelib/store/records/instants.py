"""Pages of a list that is ordered by time: a page ends between two instants, and one instant names the next page."""

from collections.abc import Callable, Iterable

from chalicelib.store.expressions import Item


def page_of_instants(
    items: Iterable[Item], limit: int, instant: Callable[[Item], str]
) -> tuple[list[Item], str | None]:
    """Returns the first items, and the instant before which the next page begins; None if there are no more.

    Args:
        items: the newest first; one beyond the page is read.
        limit: a page has so many, and the others of the instant of its last one.
    """
    page: list[Item] = []
    for item in items:
        if len(page) >= limit and instant(item) != instant(page[-1]):
            return page, instant(page[-1])
        page.append(item)
    return page, None
