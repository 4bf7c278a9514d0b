-- Tickets, devices, and answers that are waited for; when a message is too late; how old what is
-- closed may become.

-- Outbound: not to be sent after this.
ALTER TABLE message ADD COLUMN expires_at INTEGER;

-- The newest number of each year (UTC). Drawn by the commit that inserts the ticket.
CREATE TABLE ticket_head (
    year INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `urgency`: 0 is the worst. `folded`: device, code and title in lower case, for searching.
CREATE TABLE ticket (
    id BLOB PRIMARY KEY,
    year INTEGER NOT NULL,
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    device TEXT NOT NULL,
    code TEXT NOT NULL,
    contact BLOB NOT NULL,
    conversation BLOB NOT NULL,
    partition INTEGER NOT NULL,
    state TEXT NOT NULL,
    category TEXT,
    severity TEXT NOT NULL,
    urgency INTEGER NOT NULL,
    title TEXT NOT NULL,
    folded TEXT NOT NULL,
    grp BLOB,
    agent BLOB,
    last_agent BLOB,
    waiting_since INTEGER,
    n_raised INTEGER NOT NULL,
    n_flaps INTEGER NOT NULL,
    settles_at INTEGER,
    first_raised_at INTEGER NOT NULL,
    raised_at INTEGER NOT NULL,
    cleared_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    closed_at INTEGER,
    last_pos INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ticket_number ON ticket (year, number);
-- One open ticket of a fault.
CREATE UNIQUE INDEX ticket_open ON ticket (channel, device, code)
    WHERE state NOT IN ('done', 'cancelled');
CREATE INDEX ticket_fault ON ticket (channel, device, code, created_at, id);
CREATE INDEX ticket_newest ON ticket (updated_at, id);
-- Closed ones pile up, the rest are few: lists without them must not wade through them.
CREATE INDEX ticket_active ON ticket (updated_at, id, state)
    WHERE state NOT IN ('done', 'cancelled');
CREATE INDEX ticket_agent ON ticket (agent, updated_at, id) WHERE agent IS NOT NULL;
CREATE INDEX ticket_channel ON ticket (channel, updated_at, id);
CREATE INDEX ticket_device ON ticket (device, updated_at, id);
CREATE INDEX ticket_waiting ON ticket (urgency, coalesce(waiting_since, created_at), id)
    WHERE state IN ('new', 'reopened');
CREATE INDEX ticket_place ON ticket (grp) WHERE state IN ('new', 'reopened');
CREATE INDEX ticket_settles ON ticket (settles_at)
    WHERE settles_at IS NOT NULL AND state NOT IN ('done', 'cancelled');
CREATE INDEX ticket_closed ON ticket (coalesce(closed_at, updated_at))
    WHERE state IN ('done', 'cancelled');
CREATE INDEX ticket_conversation ON ticket (conversation);

CREATE TABLE ticket_entry (
    ticket BLOB NOT NULL,
    pos INTEGER NOT NULL,
    kind TEXT NOT NULL,
    agent BLOB,
    message BLOB,
    occurred_at INTEGER,
    text TEXT,
    data TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (ticket, pos)
) STRICT, WITHOUT ROWID;

-- `acked`: the device has everything up to this number.
CREATE TABLE device (
    thread BLOB PRIMARY KEY,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    partition INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    silent_at INTEGER,
    silence TEXT,
    readings TEXT NOT NULL,
    readings_at INTEGER,
    location TEXT,
    faults TEXT NOT NULL,
    acked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_silent ON device (silent_at) WHERE silent_at IS NOT NULL;

-- Answers that are waited for.
CREATE TABLE expect (
    channel TEXT NOT NULL,
    external_id TEXT NOT NULL,
    due INTEGER NOT NULL,
    or_else TEXT NOT NULL,
    PRIMARY KEY (channel, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX expect_due ON expect (due);

CREATE INDEX conversation_closed ON conversation (updated_at) WHERE state = 'closed';
