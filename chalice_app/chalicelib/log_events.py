"""The events that the control plane logs: the ``message`` of each line; queries, metrics and alarms look for it."""

from enum import StrEnum


class LogEvent(StrEnum):
    """The first argument of each call of a logger; ids and numbers stand in the line's other fields."""

    # -- answers -----------------------------------------------------------------------------------------------
    MODEL_ANSWERED = "model_answered"  #: OpenAI answered; the line carries the tokens
    REPLY_STORED = "reply_stored"  #: a reply is stored and its runner is woken; latency since the message was handed in
    REPLY_DELIVERED = "reply_delivered"  #: WhatsApp took all parts of a reply; latency since WhatsApp dates the message
    REPLY_FAILED = "reply_failed"  #: an error of ours lost a reply that the model was paid for; the turn is retried
    TURN_POSTPONED = "turn_postponed"  #: OpenAI or an AWS service failed for a moment; the turn is retried later
    TURN_GIVEN_UP = "turn_given_up"  #: the model, or WhatsApp, refuses this turn for good; ``reason`` says why
    MESSAGES_UNANSWERED = "messages_unanswered"  #: some messages get no reply; ``reason`` says why, ``count`` how many
    CHAT_MUTED = "chat_muted"  #: a bot is at the other end of a chat: the line is silent there for an hour
    ASSISTANT_NEEDS_ACTION = "assistant_needs_action"  #: a person must fix the key, the credit, the model or the budget

    # -- sessions and runners ----------------------------------------------------------------------------------
    SESSION_CHANGED = "session_changed"  #: a runner's report differs from the one before; ``kind`` says in what
    SESSION_NEEDS_ACTION = "session_needs_action"  #: a session's login ended, or a person must fix its problem
    SESSION_CLAIMED = "session_claimed"  #: a runner got a session, under a new epoch
    SESSION_RELEASED = "session_released"  #: a runner no longer holds a session; ``reason`` says why
    SESSION_UNPLACED = "session_unplaced"  #: no runner has room for a session; it waits, and the fleet is asked to grow
    RUNNER_REGISTERED = "runner_registered"  #: a new runner is taken into the fleet
    STRANGER_REFUSED = "stranger_refused"  #: a call of the runners' API has a token that no runner has
    REGISTRATION_REFUSED = "registration_refused"  #: a caller with the bootstrap token may not become a runner
    RUNNER_DRAINING = "runner_draining"  #: a runner gets no more sessions and hands over those that it has
    RUNNER_ENDED = "runner_ended"  #: a runner that was asked to leave is gone
    RUNNER_LOST = "runner_lost"  #: a runner is gone that was not asked to leave; its sessions move to others
    BELL_MISSING = "bell_missing"  #: a runner that is forgotten already was to be woken
    SESSIONS_LEFT_BEHIND = "sessions_left_behind"  #: an upgrade goes on although these sessions did not come online

    # -- snapshots ---------------------------------------------------------------------------------------------
    SNAPSHOT_COMMITTED = "snapshot_committed"  #: a session refers to a new snapshot of its profile
    SESSION_LEAVES_FULL_DISK = "session_leaves_full_disk"  #: its runner's disk is full, and another one has room
    RESTORE_FELL_BACK = "restore_fell_back"  #: a runner could not restore a snapshot and is offered an older one
    SNAPSHOTS_DELETED = "snapshots_deleted"  #: the garbage collection of snapshots ended
    SNAPSHOTS_OF_UNKNOWN_TENANT = "snapshots_of_unknown_tenant"  #: they are kept: a restored table knows fewer tenants

    # -- ECS ---------------------------------------------------------------------------------------------------
    SCALE_OUT_FAILED = "scale_out_failed"  #: ECS did not take a higher desired count
    TASK_LOOKUP_FAILED = "task_lookup_failed"  #: ECS did not say whether a task is one of ours
    TASK_PROTECTION_FAILED = "task_protection_failed"  #: ECS did not change the scale-in protection of a task

    # -- mail --------------------------------------------------------------------------------------------------
    MAIL_SENT = "mail_sent"  #: SES took a mail
    MAIL_NOT_SENT = "mail_not_sent"  #: SES did not take a mail, or it must not be sent
    NOTICE_JOB_NOT_ENQUEUED = "notice_job_not_enqueued"  #: the queue did not take a job; the next minute sends its news
    NOTICE_NOT_SENT = "notice_not_sent"  #: after several attempts nobody could be notified of news
    MAIL_DELAYED = "mail_delayed"  #: SES still tries to deliver a mail
    MAIL_NOT_DELIVERED = "mail_not_delivered"  #: this mail did not arrive; the address may still be right
    MAIL_BOUNCED = "mail_bounced"  #: the owner's address refuses mail or complained; the tenant has a problem
    MAIL_BOUNCED_AT_FORMER_ADDRESS = "mail_bounced_at_former_address"  #: the owner has another address by now
    MAIL_TO_OPERATORS_BOUNCED = "mail_to_operators_bounced"  #: the operators' own mail did not arrive
    MAIL_EVENT_INVALID = "mail_event_invalid"  #: an event of SES has an unknown form
    MAIL_EVENT_OF_UNKNOWN_TENANT = "mail_event_of_unknown_tenant"  #: an event of SES names no tenant of this stage

    # -- people and pages --------------------------------------------------------------------------------------
    OPERATOR_SIGNED_IN = "operator_signed_in"  #: the line carries a hash of the address
    SIGN_IN_REFUSED = "sign_in_refused"  #: a wrong password or code; ``step`` says which, ``client`` is a pseudonym
    SIGN_IN_THROTTLED = "sign_in_throttled"  #: too many attempts to sign in; Cognito was not asked
    OPERATOR_REMOVED = "operator_removed"  #: Cognito has removed or disabled a signed-in operator, who is signed out
    FORM_REFUSED = "form_refused"  #: a form is out of date, or another site sent it
    REQUEST_THROTTLED = "request_throttled"  #: a client of the owner's page, or a runner, exceeds a rate limit
    #: a link, or a runner's token, is unknown or has ended
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - no password
    OVERVIEW_FAILED = "overview_failed"  #: the console's table could not be shown

    # -- errors ------------------------------------------------------------------------------------------------
    REQUEST_FAILED = "request_failed"  #: a request was answered with an expected error of ours (5xx)
    UNEXPECTED_ERROR = "unexpected_error"  #: a request ended with an exception that nothing expects
    FUNCTION_FAILED = "function_failed"  #: a function that answers no request ended with an exception
    RECORD_UNREADABLE = "record_unreadable"  #: a stored record has an unknown form and is left out; see ``attribute``
    RECONCILE_INCOMPLETE = "reconcile_incomplete"  #: some independent steps failed; the others are done
