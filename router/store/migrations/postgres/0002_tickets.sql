-- Tickets, devices, and answers that are waited for; when a message is too late; how old what is
-- closed may become.

-- Outbound: not to be sent after this.
ALTER TABLE message ADD COLUMN expires_at int8;

-- The newest number of each year (UTC). Drawn by the commit that inserts the ticket, which holds the
-- row until it is durable: so numbers rise in the order of commits, without gaps.
CREATE TABLE ticket_head (
    year int4 PRIMARY KEY,
    number int8 NOT NULL
) WITH (fillfactor = 10);

-- `urgency`: 0 is the worst. `folded`: device, code and title in lower case, for searching.
CREATE TABLE ticket (
    id uuid PRIMARY KEY,
    year int4 NOT NULL,
    number int8 NOT NULL,
    channel text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    contact uuid NOT NULL,
    conversation uuid NOT NULL,
    partition int4 NOT NULL,
    state text COLLATE "C" NOT NULL,
    category text,
    severity text COLLATE "C" NOT NULL,
    urgency int4 NOT NULL,
    title text NOT NULL,
    folded text NOT NULL,
    grp uuid,
    agent uuid,
    last_agent uuid,
    waiting_since int8,
    n_raised int8 NOT NULL,
    n_flaps int8 NOT NULL,
    settles_at int8,
    first_raised_at int8 NOT NULL,
    raised_at int8 NOT NULL,
    cleared_at int8,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    closed_at int8,
    last_pos int8 NOT NULL,
    version int8 NOT NULL
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX ticket_number ON ticket (year, number);
-- One open ticket of a fault.
CREATE UNIQUE INDEX ticket_open ON ticket (channel, device, code)
    WHERE state NOT IN ('done', 'cancelled');
CREATE INDEX ticket_fault ON ticket (channel, device, code, created_at, id);
CREATE INDEX ticket_newest ON ticket (updated_at, id);
-- Closed ones pile up, the rest are few: lists without them must not wade through them.
CREATE INDEX ticket_active ON ticket (updated_at, id) INCLUDE (state)
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
    ticket uuid,
    pos int8,
    kind text COLLATE "C" NOT NULL,
    agent uuid,
    message uuid,
    occurred_at int8,
    text text,
    data text NOT NULL,
    at int8 NOT NULL,
    PRIMARY KEY (ticket, pos)
);

-- `acked`: the device has everything up to this number.
CREATE TABLE device (
    thread uuid PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    partition int4 NOT NULL,
    seen_at int8 NOT NULL,
    silent_at int8,
    silence text,
    readings text NOT NULL,
    readings_at int8,
    location text,
    faults text NOT NULL,
    acked int8 NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX device_silent ON device (silent_at) WHERE silent_at IS NOT NULL;

-- Answers that are waited for. Rows live for moments: vacuum by count, not by share.
CREATE TABLE expect (
    channel text COLLATE "C",
    external_id text COLLATE "C",
    due int8 NOT NULL,
    or_else text COLLATE "C" NOT NULL,
    PRIMARY KEY (channel, external_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX expect_due ON expect (due);

CREATE INDEX conversation_closed ON conversation (updated_at) WHERE state = 'closed';
