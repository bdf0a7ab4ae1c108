-- Certificates that take their time: what is known of an enrollment between question and answer, the
-- journal of revocations, and authorizations that were asked for in advance.

-- Of an enrollment in state 'requested':
--   asked      a call is under way, or was cut off: nobody can say whether the CA issued
--   deferred   the CA said that it did not; it is asked again at next_attempt
--   held       the outcome is unknown, and somebody has to say how it goes on
--   received   issued, but its chain could not be completed yet; the certificate is in 'received'
ALTER TABLE enrollments ADD COLUMN situation TEXT NOT NULL DEFAULT 'asked'
    CHECK (situation IN ('asked', 'deferred', 'held', 'received'));
-- Since when it waits, and why.
ALTER TABLE enrollments ADD COLUMN since INTEGER;
ALTER TABLE enrollments ADD COLUMN reason TEXT;
ALTER TABLE enrollments ADD COLUMN received BLOB;
-- SHA-256 of the public key: by which a certificate that the CA sends us finds its enrollment.
ALTER TABLE enrollments ADD COLUMN key_hash BLOB;
-- Whether a call's outcome was unknown at any time: a second certificate may turn up.
ALTER TABLE enrollments ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;

UPDATE enrollments SET situation = 'deferred' WHERE state = 'requested' AND attempts > 0;

-- Each handler is polled by itself, so that a slow one holds up nobody. Two indexes: one that an
-- enrollment passes through in any case, one for those that the CA takes its time for.
DROP INDEX enrollments_unfinished;
CREATE INDEX enrollments_requested ON enrollments (handler, next_attempt)
    WHERE state = 'requested' AND situation <> 'held';
CREATE INDEX enrollments_pending ON enrollments (handler, next_attempt)
    WHERE state = 'pending';
CREATE INDEX enrollments_held ON enrollments (handler)
    WHERE state = 'requested' AND situation = 'held';
CREATE INDEX enrollments_by_poll_id ON enrollments (handler, poll_id)
    WHERE state = 'pending';
CREATE INDEX enrollments_by_key ON enrollments (handler, key_hash)
    WHERE state = 'pending' OR doubtful = 1;

-- Revocations that the CA has not confirmed. One that it has is told by the certificate alone.
--   accepted   the client was told that it will be done
--   sent       a call is under way, or was cut off
--   refused    the CA said no after the client was told yes: for the operator
CREATE TABLE revocations (
    certificate BLOB NOT NULL PRIMARY KEY REFERENCES certificates (id),
    handler TEXT NOT NULL,
    reason INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'sent', 'refused')),
    attempts INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    problem TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_due ON revocations (handler, next_attempt)
    WHERE state <> 'refused';

-- Asked for by newAuthz (RFC 8555 §7.4.1). A column of its own, so that the authorizations of orders
-- leave the index below alone.
ALTER TABLE authorizations ADD COLUMN in_advance INTEGER NOT NULL DEFAULT 0;
CREATE INDEX authorizations_in_advance ON authorizations (account, name, endpoint, expires)
    WHERE in_advance = 1 AND state = 'pending';
