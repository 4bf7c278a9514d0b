-- Times are milliseconds since 1970 UTC, ids are uuids, JSON is text: it comes back as it was
-- written, numbers and order included. Keys compare by bytes, whatever the database's language.
-- There are no foreign keys: the router writes whole changes, and retention deletes in bounded steps.

-- Exclusive duties. A row stays for ever: its epoch must never fall. A free lease has no owner.
CREATE TABLE lease (
    name text COLLATE "C" PRIMARY KEY,
    owner text COLLATE "C",
    epoch int8 NOT NULL,
    expires_at int8 NOT NULL
) WITH (fillfactor = 50);

-- Who is alive, and how full the rate buckets are: worth nothing after a crash, so it is not logged.
CREATE UNLOGGED TABLE heartbeat (
    role text COLLATE "C",
    instance text COLLATE "C",
    expires_at int8 NOT NULL,
    PRIMARY KEY (role, instance)
) WITH (fillfactor = 50);
CREATE INDEX heartbeat_instance ON heartbeat (instance);
CREATE UNLOGGED TABLE bucket (
    channel text COLLATE "C" PRIMARY KEY,
    level float8 NOT NULL,
    at int8 NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE processed (
    source text COLLATE "C",
    id text COLLATE "C",
    at int8 NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX processed_at ON processed (at);

CREATE TABLE dedupe (
    key text COLLATE "C" PRIMARY KEY,
    message uuid NOT NULL,
    at int8 NOT NULL
);
CREATE INDEX dedupe_at ON dedupe (at);

CREATE TABLE outcome (
    command uuid PRIMARY KEY,
    body text NOT NULL,
    at int8 NOT NULL
);
CREATE INDEX outcome_at ON outcome (at);

-- `folded` columns hold the lower-case form in Unicode's sense, whatever the database's language.
CREATE TABLE contact (
    id uuid PRIMARY KEY,
    name text,
    folded text NOT NULL,
    locale text,
    attributes text NOT NULL,
    created_at int8 NOT NULL
);

CREATE TABLE thread (
    id uuid PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    channel_kind text NOT NULL,
    address text COLLATE "C" NOT NULL,
    folded text NOT NULL,
    contact uuid NOT NULL,
    partition int4 NOT NULL,
    verified bool NOT NULL,
    last_seq int8 NOT NULL,
    last_out_seq int8 NOT NULL,
    delivered_seq int8 NOT NULL,
    read_seq int8 NOT NULL,
    version int8 NOT NULL,
    UNIQUE (channel, address)
) WITH (fillfactor = 85);

CREATE TABLE conversation (
    id uuid PRIMARY KEY,
    contact uuid NOT NULL,
    thread uuid NOT NULL,
    channel text COLLATE "C" NOT NULL,
    partition int4 NOT NULL,
    state text COLLATE "C" NOT NULL,
    grp uuid,
    agent uuid,
    last_agent uuid,
    waiting_since int8,
    snoozed_until int8,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    last_pos int8 NOT NULL,
    unread int8 NOT NULL,
    last_preview text,
    last_from text,
    last_message_at int8,
    version int8 NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX conversation_thread ON conversation (thread, created_at, id);
CREATE INDEX conversation_newest ON conversation (updated_at, id);
CREATE INDEX conversation_agent ON conversation (agent, updated_at, id) WHERE agent IS NOT NULL;
CREATE INDEX conversation_waiting ON conversation (coalesce(waiting_since, created_at), id)
    WHERE state IN ('new', 'waiting');
CREATE INDEX conversation_place ON conversation (grp, coalesce(waiting_since, created_at), id)
    WHERE state IN ('new', 'waiting');
CREATE INDEX conversation_snoozed ON conversation (snoozed_until) WHERE state = 'snoozed';

CREATE TABLE message (
    id uuid PRIMARY KEY,
    conversation uuid NOT NULL,
    thread uuid NOT NULL,
    pos int8 NOT NULL,
    thread_seq int8,
    out_seq int8,
    kind text COLLATE "C" NOT NULL,
    direction text COLLATE "C" NOT NULL,
    sender text NOT NULL,
    agent uuid,
    content text NOT NULL,
    external_id text,
    at int8 NOT NULL,
    state text COLLATE "C",
    reason text,
    attempts int8 NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX message_pos ON message (conversation, pos);
CREATE UNIQUE INDEX message_thread_seq ON message (thread, thread_seq)
    WHERE thread_seq IS NOT NULL;
CREATE UNIQUE INDEX message_out_seq ON message (thread, out_seq) WHERE out_seq IS NOT NULL;

-- Rows live for moments: vacuum by count, not by share.
CREATE TABLE outbox (
    partition text COLLATE "C",
    seq int8,
    shard int4 NOT NULL,
    id uuid NOT NULL,
    envelope bytea NOT NULL,
    PRIMARY KEY (partition, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
-- Rows go when they are relayed, the number they have reached must not.
CREATE TABLE outbox_head (
    partition text COLLATE "C" PRIMARY KEY,
    seq int8 NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE lane (
    id uuid PRIMARY KEY,
    done int8 NOT NULL
) WITH (fillfactor = 70);

-- `ready`: its number is the lane's next one.
CREATE TABLE parked (
    id uuid PRIMARY KEY,
    lane uuid NOT NULL,
    out_seq int8 NOT NULL,
    shard int4 NOT NULL,
    channel text COLLATE "C" NOT NULL,
    due int8 NOT NULL,
    reason text COLLATE "C" NOT NULL,
    detail text,
    attempts int8 NOT NULL,
    envelope bytea NOT NULL,
    parked_at int8 NOT NULL,
    ready bool NOT NULL,
    UNIQUE (lane, out_seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX parked_due ON parked (shard, due) WHERE ready;
CREATE INDEX parked_channel ON parked (channel, parked_at);

CREATE TABLE attempt (
    message uuid,
    part int4,
    lane uuid NOT NULL,
    out_seq int8 NOT NULL,
    epoch int8 NOT NULL,
    exchange text,
    at int8 NOT NULL,
    PRIMARY KEY (message, part)
) WITH (fillfactor = 80);
CREATE INDEX attempt_lane ON attempt (lane, out_seq, part);
CREATE INDEX attempt_at ON attempt (at);

-- What we sent and what the provider said of it; either may come first.
CREATE TABLE receipt (
    channel text COLLATE "C",
    external_id text COLLATE "C",
    message uuid,
    part int4,
    state text COLLATE "C",
    reason text,
    at int8 NOT NULL,
    PRIMARY KEY (channel, external_id)
) WITH (fillfactor = 80);
CREATE INDEX receipt_message ON receipt (message) WHERE message IS NOT NULL;
CREATE INDEX receipt_at ON receipt (at);

CREATE TABLE live (
    thread uuid,
    gateway text COLLATE "C",
    PRIMARY KEY (thread, gateway)
);
CREATE INDEX live_gateway ON live (gateway);

CREATE TABLE channel_state (
    channel text COLLATE "C" PRIMARY KEY,
    paused text,
    paused_at int8,
    until int8,
    last_error text,
    last_error_at int8
) WITH (fillfactor = 50);

CREATE TABLE dead (
    id uuid PRIMARY KEY,
    direction text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    conversation uuid,
    lane uuid,
    reason text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    attempts int8 NOT NULL,
    exchange text,
    envelope bytea NOT NULL,
    at int8 NOT NULL,
    status text COLLATE "C" NOT NULL,
    closed_at int8
);
CREATE INDEX dead_newest ON dead (status, at, id);
CREATE INDEX dead_closed ON dead (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE agent (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    role text COLLATE "C" NOT NULL,
    capacity int8 NOT NULL,
    load int8 NOT NULL,
    presence text COLLATE "C" NOT NULL,
    assigned_at int8,
    active bool NOT NULL,
    console_until int8
) WITH (fillfactor = 50);

CREATE TABLE grp (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    strategy text COLLATE "C" NOT NULL
);
CREATE TABLE grp_agent (
    grp uuid,
    agent uuid,
    PRIMARY KEY (grp, agent)
);
CREATE INDEX grp_agent_agent ON grp_agent (agent);
CREATE TABLE grp_channel (
    grp uuid,
    channel text COLLATE "C",
    PRIMARY KEY (grp, channel)
);

CREATE TABLE token (
    id uuid PRIMARY KEY,
    sha256 bytea NOT NULL UNIQUE,
    name text NOT NULL,
    role text COLLATE "C" NOT NULL,
    agent uuid,
    created_at int8 NOT NULL,
    expires_at int8,
    revoked_at int8
);

CREATE TABLE event_log (
    seq int8 PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    conversation uuid,
    agent uuid,
    data text NOT NULL,
    at int8 NOT NULL
);
-- One row. Whoever writes events draws their numbers from it as the last thing before the commit,
-- and its lock is held until then: so numbers rise in the order of commits, without gaps.
CREATE TABLE event_head (
    one bool PRIMARY KEY DEFAULT true CHECK (one),
    seq int8 NOT NULL
) WITH (fillfactor = 10);
INSERT INTO event_head (seq) VALUES (0);

CREATE TABLE audit (
    seq int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent uuid,
    token uuid,
    action text COLLATE "C" NOT NULL,
    target text NOT NULL,
    detail text NOT NULL,
    at int8 NOT NULL
);

CREATE TABLE setting (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
