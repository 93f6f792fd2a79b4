"""The schedule of a session's snapshots: debounces activity, backs off after failures; pure, ``now`` is passed."""

#: A fresh login must survive the loss of this machine soon; Local Storage reaches the disk within 3 to 6 s
#: (measured here).
FRESH_LOGIN_SECONDS = 10.0
#: The state after catching up, and after the history came.
SETTLED_SECONDS = (60.0, 300.0)
#: After the last message, in or out …
QUIET_SECONDS = 15.0
#: … but while messages keep coming, unsaved changes are never older than this.
MAX_UNSAVED_SECONDS = 60.0
MIN_INTERVAL_SECONDS = 15.0
#: A large archive costs as much for each byte as a small one: both times grow in proportion to the last archive's size,
#: from this size on unsaved changes may be older …
TYPICAL_BYTES = 40_000_000
#: … up to this, which is well below the alarm's hour.
MAX_PAUSE_SECONDS = 900.0
FIRST_RETRY_SECONDS = 15.0
MAX_RETRY_SECONDS = 300.0


class SnapshotSchedule:
    """The last snapshot, the activity since then, and the failures in a row."""

    def __init__(self) -> None:
        self.failures = 0
        self._online_since: float | None = None
        self._milestone_seconds = list(SETTLED_SECONDS)
        self._active_at: float | None = None
        self._unsaved_since: float | None = None
        self._not_before = 0.0
        self._saved_at: float | None = None
        self._pause_seconds = 0.0

    def linked(self) -> None:
        """Records that the account was linked just now."""
        self._milestone_seconds = [FRESH_LOGIN_SECONDS, *SETTLED_SECONDS]

    def online(self, online: bool, now: float) -> None:
        """Records whether the page is proven online with the right account: no snapshot is due while it is not."""
        if not online:
            self._online_since = None
        elif self._online_since is None:
            self._online_since = now

    def active(self, now: float) -> None:
        """Records that a message came or went."""
        self._active_at = now
        if self._unsaved_since is None:
            self._unsaved_since = now

    def is_due(self, now: float) -> bool:
        """Returns whether a snapshot should be taken now."""
        if self._online_since is None or now < self._not_before:
            return False
        if self._milestone_seconds and now - self._online_since >= self._milestone_seconds[0]:
            return True
        if self._active_at is None or self._unsaved_since is None:
            return False
        if self._saved_at is not None and now - self._saved_at < self._pause_seconds:
            return False
        too_old = now - self._unsaved_since >= max(MAX_UNSAVED_SECONDS, self._pause_seconds)
        return too_old or now - self._active_at >= QUIET_SECONDS

    def saved_at(self, now: float) -> float | None:
        """Returns when everything was saved last: now, if nothing happened since; None if it never was."""
        if self._saved_at is None or self._milestone_seconds or self._unsaved_since is not None:
            return self._saved_at
        return now

    def saved(self, begun_at: float, now: float, size_bytes: int | None = None) -> None:
        """Records that a snapshot begun at ``begun_at`` is committed, or that there was nothing new to save.

        Args:
            size_bytes: of its archive; None if nothing new was stored.
        """
        self.failures = 0
        self._saved_at = begun_at
        self._not_before = now + MIN_INTERVAL_SECONDS
        if size_bytes is not None:
            self._pause_seconds = min(MAX_PAUSE_SECONDS, MAX_UNSAVED_SECONDS * size_bytes / TYPICAL_BYTES)
        if self._online_since is not None:
            passed_seconds = begun_at - self._online_since
            self._milestone_seconds = [each for each in self._milestone_seconds if each > passed_seconds]
        still = self._active_at is not None and self._active_at > begun_at
        self._unsaved_since = self._active_at if still else None

    def failed(self, now: float) -> None:
        """Postpones the next attempt, each time for longer."""
        self._not_before = now + min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(self.failures, 10))
        self.failures += 1
