-- Users of EST with their passwords, as Argon2id hashes in PHC's form.

CREATE TABLE est_users (
    name TEXT NOT NULL PRIMARY KEY,
    password TEXT NOT NULL,
    -- Whether the password is good for one certificate.
    once INTEGER NOT NULL,
    expires INTEGER,
    -- Names that the user may ask for, and the labels that it may ask; JSON lists.
    names TEXT NOT NULL,
    labels TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- The enrollment that used a one-time password up.
    used_by BLOB
) STRICT, WITHOUT ROWID;
