"""The stores: only DynamoDB, one table, conditional writes, no scans.

======================  ==========================  =================================================================
pk                      sk                          attributes
======================  ==========================  =================================================================
``TENANT#<tenant>``     ``TENANT``                  profile, state, revision, key ciphertext, policies
``TENANT#<tenant>``     ``ASSISTANT#<version>``     one version of the assistant, its time and author
``TENANT#<tenant>``     ``MODELS``                  the models that its key may use, as a check listed them; expires
``TENANT#<tenant>``     ``SESSION``                 phase, problem, epoch, runner, codes, number, snapshots
``TENANT#<tenant>``     ``EVENT#<at>#<id>``         timeline and audit; append-only but for counts, expires
``TENANT#<tenant>``     ``COUNTER#<name>#<window>`` caps, rate limits and usage; expires
``TENANT#<tenant>``     ``NOTICE#<to>#<kind>``      what is so, what owner or operators heard, when due; expires
``TENANT#<tenant>``     ``TOLD#<notice>``           when a former release last mailed this; expires
``TENANT#<tenant>``     ``SEEN_TEXT#<text>``        an own text soon after a contact's: hashes, counts; expires
``TENANT#<tenant>``     ``AUTOMATIC_TEXT#<text>``   the same, recognised as automatic: its wording and mark; expires
``TENANT#<tenant>``     ``UNANSWERED#<at>#<id>``    a message without a reply: chat, kind, reason; expires
``TENANT#<tenant>``     ``UNANSWERED_OF_DAY#<day>`` how many there were, by reason; expires
``TENANT#<tenant>``     ``MISSED#<at>#<id>``        a message that came while disconnected: chat, key; expires
``TENANT#<tenant>``     ``SLOT#<number>``           a model call at this moment: holder, until; expires
``CHAT#<tenant>#<c>``   ``CHAT``                    open turn, takeover, answered_to; or ``same_as`` another chat
``CHAT#<tenant>#<c>``   ``CHECK``                   a check that is due, and the name of its request; expires
``CHAT#<tenant>#<c>``   ``MESSAGE#<key>``           a message, which also deduplicates it; its version; expires
``CHAT#<tenant>#<c>``   ``TURN#<turn>``             batch, revision, state, text, cursor; expires
``RUNNER#<runner>``     ``RUNNER``                  lease, capacity, versions, assignments, protection, drain
``RUNNER#<runner>``     ``BELL``                    a counter, and the turns to take
``TASK#<task>``         ``TASK``                    the one runner of this ECS task; expires with that runner
``NOTICES``             ``OPERATORS``               the batch that operators are being sent, and who sends it
``NOTICES``             ``DIGEST``                  the day of the last digest, and who sends the next one
``FLEET``               ``FLEET``                   since when there are too many runners; sessions left behind
``FLEET``               ``COMMITS``                 the commits that runners run
``LINES``               ``HEAD``                    when the list of lines was made, and the counts of all lines
``LINES``               ``PART#<number>``           a part of it, in order: what finds a line (``fleet/line_list.py``)
``LINES``               ``RECENT#<at>#<tenant>``    a line that the list may show in a wrong place; expires
``TURNS#<shard>``       ``ENDED#<window>``          how many turns ended within half an hour, or were given up; expires
``SETUP``               ``SETUP``                   the steps of setting up that cannot be seen: test mail, dismissal
``INVITE#<sha256>``     ``INVITE``                  the mailed link
``OPERATOR#<sha256>``   ``OPERATOR``                an operator's signed-in browser; expires
``OPERATOR#<sha256>``   ``SIGN_IN``                 a sign-in between two steps; expires after 15 minutes
``OPERATOR#<sha256>``   ``PATH``                    the page that a sign-in interrupted; expires after an hour
``OPERATOR#<sha256>``   ``FORM#<path>``             a form that was posted after its session had ended; expires
``TENANT#sign-in``      ``COUNTER#…``               attempts to sign in, by account and address; expires
``TENANT#kept-forms``   ``COUNTER#…``               forms that were kept, by operator; expires
``TENANT#pairing-…``    ``COUNTER#…``               pairing codes, by the number that they were for; expires
======================  ==========================  =================================================================

Indexes: ``by_time`` (local, by ``at``: a chat's messages and turns; a tenant's events), ``directory`` (each tenant with
its session, each runner that is not freed, by the end of its lease), ``unplaced`` (by keys alone: sessions that wait
for a runner, runners with room, the open turns ``OPEN#<tenant>``; ``fleet/waiting_index.py``), ``open_turns`` (turns,
checks, notices by ``due_at``). The last three are a moment old and yield candidates: the item itself decides.
"""
