"""When the next snapshot of a session is due: pure decisions, ``now`` is an argument."""

#: A fresh login must survive the loss of this machine soon; Local Storage reaches the disk within 3 to 6 s
#: (measured here).
FRESH_LOGIN_SECONDS = 10.0
#: The state after catching up, and after the history came.
SETTLED_SECONDS = (60.0, 300.0)
#: After the last message, in or out …
QUIET_SECONDS = 15.0
#: … but while they keep coming, what is not saved is never older than this.
MAX_UNSAVED_SECONDS = 60.0
MIN_INTERVAL_SECONDS = 15.0
FIRST_RETRY_SECONDS = 15.0
MAX_RETRY_SECONDS = 300.0


class SnapshotSchedule:
    """What was saved, what happened since, and how often saving failed."""

    def __init__(self) -> None:
        self.failures = 0
        self._online_since: float | None = None
        self._milestones = list(SETTLED_SECONDS)
        self._active_at: float | None = None
        self._unsaved_since: float | None = None
        self._not_before = 0.0

    def linked(self) -> None:
        """The account was linked just now."""
        self._milestones = [FRESH_LOGIN_SECONDS, *SETTLED_SECONDS]

    def online(self, online: bool, now: float) -> None:
        """Proven online with the right account, or not any more: nothing is ever taken then."""
        if not online:
            self._online_since = None
        elif self._online_since is None:
            self._online_since = now

    def active(self, now: float) -> None:
        """A message came or went."""
        self._active_at = now
        if self._unsaved_since is None:
            self._unsaved_since = now

    def is_due(self, now: float) -> bool:
        """Whether a snapshot should be taken now."""
        if self._online_since is None or now < self._not_before:
            return False
        if self._milestones and now - self._online_since >= self._milestones[0]:
            return True
        if self._active_at is None or self._unsaved_since is None:
            return False
        return now - self._active_at >= QUIET_SECONDS or now - self._unsaved_since >= MAX_UNSAVED_SECONDS

    def saved(self, begun_at: float, now: float) -> None:
        """A snapshot begun then is committed, or there was nothing new to save."""
        self.failures = 0
        self._not_before = now + MIN_INTERVAL_SECONDS
        if self._online_since is not None:
            passed = begun_at - self._online_since
            self._milestones = [each for each in self._milestones if each > passed]
        still = self._active_at is not None and self._active_at > begun_at
        self._unsaved_since = self._active_at if still else None

    def failed(self, now: float) -> None:
        """Try again later, ever later."""
        self._not_before = now + min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**self.failures)
        self.failures += 1
