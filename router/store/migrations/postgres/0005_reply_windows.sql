-- Until when, and how often, a contact may be answered: the newest of each kind of window, told apart by its quota (-1: as
-- often as we like). `attempt.spends` names the message that opened the window a call counts against.
CREATE TABLE reply_window (
    thread uuid NOT NULL,
    quota int8 NOT NULL,
    message uuid NOT NULL,
    ends_at int8,
    PRIMARY KEY (thread, quota)
);
ALTER TABLE attempt ADD COLUMN spends uuid;
CREATE INDEX attempt_spends ON attempt (spends) WHERE spends IS NOT NULL;
