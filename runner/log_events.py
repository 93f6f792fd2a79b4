"""The events that the runner logs: one member a line of the log, found by its name in code, log and saved queries."""

from enum import StrEnum


class LogEvent(StrEnum):
    """The event of a log line; its value is what stands in the line."""

    # -- the process and its registration -------------------------------------------------------------------------

    #: The process ended with an error that nothing handled.
    RUNNER_FAILED = "runner_failed"
    #: The control plane gave this runner an identity.
    REGISTERED = "registered"
    #: The control plane considers this runner dead: its token is refused.
    DECLARED_DEAD = "declared_dead"
    #: A call to the control plane failed, and the one before succeeded.
    CONTROL_PLANE_UNREACHABLE = "control_plane_unreachable"
    #: A call to the control plane succeeded, and the one before failed.
    CONTROL_PLANE_REACHABLE = "control_plane_reachable"
    #: A sync failed by an error of the runner or was refused, and the one before did not; the runner retries.
    SYNC_FAILED = "sync_failed"
    #: The control plane did not answer a call for the bell, and it did the one before; syncs bring the same.
    BELL_UNANSWERED = "bell_unanswered"
    #: The lease ran out: all sessions go off the network.
    SESSIONS_PARKED = "sessions_parked"
    #: The lease was renewed: parked sessions go back online.
    SESSIONS_RESUMED = "sessions_resumed"
    #: The graceful shutdown began.
    DRAIN_STARTED = "drain_started"
    #: The graceful shutdown was requested a second time and has less time now.
    DRAIN_HASTENED = "drain_hastened"
    #: The graceful shutdown took too long: the sessions that are left are killed.
    DRAIN_TIMED_OUT = "drain_timed_out"
    #: The runner ends without having released all of its sessions.
    RELEASES_TIMED_OUT = "releases_timed_out"
    #: The graceful shutdown ended.
    DRAIN_FINISHED = "drain_finished"
    #: The disk has too little free room for the named purpose.
    DISK_NEARLY_FULL = "disk_nearly_full"
    #: The disk has room again for the named purpose.
    DISK_RECOVERED = "disk_recovered"

    # -- one session ----------------------------------------------------------------------------------------------

    #: The runner begins to host a session.
    SESSION_STARTED = "session_started"
    #: The session's task ended, for the named reason.
    SESSION_ENDED = "session_ended"
    #: An error that the session did not handle ended it.
    SESSION_CRASHED = "session_crashed"
    #: The control plane does not give this session to this runner any more.
    SESSION_LOST = "session_lost"
    #: A session did not go off the network in time, and was killed.
    PARK_FAILED = "park_failed"
    #: A session did not return to the network, and was killed.
    RESUME_FAILED = "resume_failed"
    #: The control plane did not confirm a release; the runner retries.
    RELEASE_FAILED = "release_failed"
    #: The phase that the session reports changed.
    PHASE_CHANGED = "phase_changed"
    #: An account was linked.
    LINKED = "linked"
    #: WhatsApp ended the login.
    LOGGED_OUT = "logged_out"
    #: The profile could not be opened or restored; the session retries.
    PROFILE_UNAVAILABLE = "profile_unavailable"
    #: The page crashed, for the named cause: out of memory, killed, or anything else.
    PAGE_CRASHED = "page_crashed"
    #: The browser died, or did not start.
    BROWSER_LOST = "browser_lost"
    #: The session gets a new browser, for the named reason.
    BROWSER_ROTATED = "browser_rotated"
    #: The page was loaded again, for the named reason.
    PAGE_RELOADED = "page_reloaded"
    #: The runner closed a dialog of WhatsApp Web.
    DIALOG_CONFIRMED = "dialog_confirmed"
    #: WhatsApp Web shows a dialog that the runner must not answer.
    DIALOG_NEEDS_PERSON = "dialog_needs_person"
    #: Another browser uses the login; the runner takes it back.
    LOGIN_TAKEN_BACK = "login_taken_back"
    #: The phone asked for a passkey, and a person asked for a new code.
    CODE_ASKED_AGAIN = "code_asked_again"
    #: WhatsApp did not give a pairing code.
    PAIRING_FAILED = "pairing_failed"

    # -- messages and replies -------------------------------------------------------------------------------------

    #: Messages could not be read from the page; the runner retries.
    READING_INTERRUPTED = "reading_interrupted"
    #: Chats of the page cannot be read, and are left out; or, with 0 chats, all can be read again.
    CHATS_UNREADABLE = "chats_unreadable"
    #: A journal could not be handed in to the control plane; the runner retries.
    HANDING_IN_INTERRUPTED = "handing_in_interrupted"
    #: Values of the page are out of bounds: a message is handed in without the named fields.
    MESSAGE_FIELDS_LEFT_OUT = "message_fields_left_out"
    #: A message of the page cannot be handed in, because of the named fields.
    MESSAGE_NOT_CARRIED = "message_not_carried"
    #: The control plane refused a message for good; the runner drops it.
    MESSAGE_REFUSED = "message_refused"
    #: The control plane refused the report of a sent part for good.
    SENT_REPORT_REFUSED = "sent_report_refused"
    #: The page was left without reading all of it once more.
    FINAL_READ_FAILED = "final_read_failed"
    #: WhatsApp refused a part of a turn for good; the turn ends.
    REPLY_REFUSED = "reply_refused"
    #: WhatsApp Web says that the account is restricted, or no longer.
    RESTRICTION_CHANGED = "restriction_changed"
    #: WhatsApp's server has all parts of a turn.
    TURN_DELIVERED = "turn_delivered"
    #: A turn could not be delivered just now; the runner retries later.
    TURN_POSTPONED = "turn_postponed"
    #: The control plane has nothing left to send for a turn.
    TURN_GONE = "turn_gone"
    #: The control plane refused a turn to this runner.
    TURN_REFUSED = "turn_refused"
    #: A reply was not finished in time; the session's next runner delivers it.
    TURN_LEFT_TO_NEXT_RUNNER = "turn_left_to_next_runner"

    # -- journals on the disk -------------------------------------------------------------------------------------

    #: The journal could not be written; it goes on in memory.
    JOURNAL_WRITE_FAILED = "journal_write_failed"
    #: The file with the capability of the journal's owner could not be deleted.
    JOURNAL_OWNER_NOT_DELETED = "journal_owner_not_deleted"
    #: The messages of a session that ended or was killed were handed in.
    JOURNAL_HANDED_IN = "journal_handed_in"
    #: The control plane does not accept the journal's capability any more; its messages stay unanswered.
    JOURNAL_EXPIRED = "journal_expired"
    #: A journal caused an error of the runner.
    JOURNAL_FAILED = "journal_failed"

    # -- profiles and snapshots -----------------------------------------------------------------------------------

    #: A snapshot was stored and committed.
    SNAPSHOT_TAKEN = "snapshot_taken"
    #: A snapshot could not be taken or stored; the runner retries later.
    SNAPSHOT_FAILED = "snapshot_failed"
    #: A snapshot was taken after others had failed.
    SNAPSHOTS_RECOVERED = "snapshots_recovered"
    #: The last snapshot of a closed browser was not done in time.
    FINAL_SNAPSHOT_TIMED_OUT = "final_snapshot_timed_out"
    #: The last snapshot of a closed browser was left out, because the profile is suspect.
    FINAL_SNAPSHOT_SKIPPED = "final_snapshot_skipped"
    #: The session starts from a snapshot.
    SNAPSHOT_RESTORED = "snapshot_restored"
    #: A snapshot could not be used; the one before it is tried.
    SNAPSHOT_REJECTED = "snapshot_rejected"
    #: The disk had no room: the browser's files may be incomplete, and are not saved.
    PROFILE_SUSPECT = "profile_suspect"
    #: The profile of a session that moved away was deleted from this disk.
    PROFILE_DELETED = "profile_deleted"
    #: A browser took more of the disk than it may: its session ends, and starts elsewhere from a snapshot.
    PROFILE_TOO_LARGE = "profile_too_large"
    #: A new browser came online with the suspect files: they are saved again.
    PROFILE_TRUSTED = "profile_trusted"
