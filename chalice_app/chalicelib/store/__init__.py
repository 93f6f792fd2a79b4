"""Only DynamoDB: one table, conditional writes, no scans.

=====================  ==========================  ==================================================================
pk                     sk                          what
=====================  ==========================  ==================================================================
``TENANT#<tenant>``    ``TENANT``                  profile, what is wanted, revision, key ciphertext, policies
``TENANT#<tenant>``    ``ASSISTANT#<version>``     immutable
``TENANT#<tenant>``    ``SESSION``                 phase, problem, epoch, runner, codes, number, snapshots: as reported
``TENANT#<tenant>``    ``EVENT#<at>#<id>``         timeline and audit; append-only, expires
``TENANT#<tenant>``    ``COUNTER#<what>#<window>``  caps and usage; expires
``TENANT#<tenant>``    ``TOLD#<news>``             when a mail last told of it; expires
``CHAT#<tenant>#<c>``  ``CHAT``                    open turn, takeover, answered_to; or ``same_as`` another chat
``CHAT#<tenant>#<c>``  ``MESSAGE#<key>``           immutable, also the dedupe record; expires
``CHAT#<tenant>#<c>``  ``TURN#<turn>``             batch, revision, state, text, cursor; expires
``RUNNER#<runner>``    ``RUNNER``                  lease, capacity, versions, assigned map, protection, its leaving
``RUNNER#<runner>``    ``BELL``                    a counter, and the turns it rang for
``TASK#<task>``        ``TASK``                    the one runner that speaks for it; expires with that runner
``FLEET``              ``FLEET``                   since when fewer runners would do; whom upgrades do not wait for
``INVITE#<sha256>``    ``INVITE``                  the emailed link
``OPERATOR#<sha256>``  ``OPERATOR``                an operator's signed-in browser; expires
``OPERATOR#<sha256>``  ``SIGN_IN``                 a sign-in between two steps; expires after 15 minutes
``TENANT#sign-in``     ``COUNTER#…``               attempts to sign in, by account and address; expires
=====================  ==========================  ==================================================================

Indexes: ``by_time`` (local: a chat's messages and turns by ``at``), ``directory`` (every tenant and its session,
every runner alive; eventually consistent), ``unplaced`` (sessions that should run and nobody holds), ``open_turns``
(turns by ``due_at``). The last three are candidates, never authority.
"""
