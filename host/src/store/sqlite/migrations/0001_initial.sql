-- The first schema. Ids are 16 random bytes behind four of time, so inserts go to the end of a table.
-- Times are seconds since 1970. Lists and nested values are JSON. What an order or authorization shows
-- as its status also depends on the time, and is never stored.
--
-- Tables with small rows are clustered on their id (WITHOUT ROWID); those with certificates or requests
-- in them are not, for such rows would crowd the tree's inner pages.

CREATE TABLE external_keys (
    endpoint TEXT NOT NULL,
    id TEXT NOT NULL,
    secret BLOB NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER,
    PRIMARY KEY (endpoint, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    endpoint TEXT NOT NULL,
    thumbprint BLOB NOT NULL,
    jwk TEXT NOT NULL,
    contacts TEXT NOT NULL,
    terms_agreed INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('valid', 'deactivated', 'revoked')),
    external_key TEXT,
    external_binding TEXT,
    created INTEGER NOT NULL,
    FOREIGN KEY (endpoint, external_key) REFERENCES external_keys (endpoint, id)
) STRICT;

-- A key has one account at an endpoint (RFC 8555 §7.3.1).
CREATE UNIQUE INDEX accounts_by_key ON accounts (endpoint, thumbprint);

CREATE TABLE orders (
    id BLOB NOT NULL PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts (id),
    endpoint TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    not_before INTEGER,
    not_after INTEGER,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- The ids in hexadecimal, in the order of the identifiers.
    authorizations TEXT NOT NULL,
    progress TEXT NOT NULL CHECK (progress IN ('open', 'processing', 'valid', 'invalid')),
    enrollment BLOB,
    certificate BLOB,
    failure TEXT,
    -- Until it fails. A column of its own, so that progress leaves the index below alone.
    listed INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

-- Without those that failed: an account's list leaves them out, however many there are.
CREATE INDEX orders_by_account ON orders (account, id)
    WHERE listed = 1;

CREATE TABLE authorizations (
    id BLOB NOT NULL PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts (id),
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    wildcard INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'valid', 'invalid', 'deactivated', 'revoked')),
    -- Whether it is pending and one of its challenges is being checked.
    processing INTEGER NOT NULL,
    challenges TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX authorizations_valid ON authorizations (account, name, wildcard, expires)
    WHERE state = 'valid';

CREATE INDEX authorizations_processing ON authorizations (id)
    WHERE processing = 1;

CREATE TABLE enrollments (
    id BLOB NOT NULL PRIMARY KEY,
    for_order BLOB REFERENCES orders (id),
    handler TEXT NOT NULL,
    profile TEXT,
    protocol TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    requester TEXT NOT NULL,
    csr BLOB NOT NULL,
    identifiers TEXT NOT NULL,
    not_before INTEGER,
    not_after INTEGER,
    requested_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requested', 'pending', 'issued', 'failed')),
    poll_id TEXT,
    certificate BLOB,
    failure TEXT
) STRICT;

CREATE INDEX enrollments_unfinished ON enrollments (next_attempt)
    WHERE state IN ('requested', 'pending');

-- A CA sends the same issuers with every certificate: each distinct set is stored once.
CREATE TABLE chains (
    hash BLOB NOT NULL PRIMARY KEY,
    chains BLOB NOT NULL
) STRICT;

CREATE TABLE certificates (
    id BLOB NOT NULL PRIMARY KEY,
    enrollment BLOB NOT NULL REFERENCES enrollments (id),
    account BLOB,
    endpoint TEXT NOT NULL,
    handler TEXT NOT NULL,
    serial BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    names TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    der BLOB NOT NULL,
    chain BLOB NOT NULL REFERENCES chains (hash),
    revoked_at INTEGER,
    revocation_reason INTEGER,
    withheld INTEGER NOT NULL
) STRICT;

-- Not unique: a handler may answer two requests with one certificate. Fingerprints are random, so every
-- insert dirties another page of this index; eight bytes find one as well and keep its pages few.
CREATE INDEX certificates_by_fingerprint ON certificates (substr(fingerprint, 1, 8));

-- The version is drawn anew at each write; AUTOINCREMENT never draws a number twice, so a key that was
-- deleted and made again has a new one.
CREATE TABLE handler_state (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    handler TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (handler, key)
) STRICT;

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
