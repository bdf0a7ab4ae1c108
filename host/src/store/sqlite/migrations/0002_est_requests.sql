-- Requests of EST clients that have not been answered with their certificate. A client asks again with
-- the same request; the key is made of who asks, where, for what, and the CSR. Rows leave once answered,
-- so the table stays as small as what is under way.

CREATE TABLE est_requests (
    key BLOB NOT NULL PRIMARY KEY,
    enrollment BLOB NOT NULL REFERENCES enrollments (id)
) STRICT, WITHOUT ROWID;
