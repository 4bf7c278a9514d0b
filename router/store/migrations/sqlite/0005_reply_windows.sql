-- Until when, and how often, a contact may be answered: the newest of each kind of window, told apart by its quota (-1: as
-- often as we like). `attempt.spends` names the message that opened the window a call counts against.
CREATE TABLE reply_window (
    thread BLOB NOT NULL,
    quota INTEGER NOT NULL,
    message BLOB NOT NULL,
    ends_at INTEGER,
    PRIMARY KEY (thread, quota)
) STRICT, WITHOUT ROWID;
ALTER TABLE attempt ADD COLUMN spends BLOB;
CREATE INDEX attempt_spends ON attempt (spends) WHERE spends IS NOT NULL;
