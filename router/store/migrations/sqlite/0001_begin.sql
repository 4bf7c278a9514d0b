-- Times are integer milliseconds since 1970 UTC, ids 16-byte blobs, JSON is text, flags are 0 and 1.
-- There are no foreign keys: the router writes whole changes, and retention deletes in bounded steps.

-- Exclusive duties. A row stays for ever: its epoch must never fall. A free lease has no owner.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner TEXT,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows are deleted from the smallest rowid on: they come in about the order of time.
CREATE TABLE processed (
    seq INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (source, id)
) STRICT;

CREATE TABLE dedupe (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    message BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE outcome (
    seq INTEGER PRIMARY KEY,
    command BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- `folded` columns hold the lower-case form in Unicode's sense, which SQLite cannot compute.
CREATE TABLE contact (
    id BLOB PRIMARY KEY,
    name TEXT,
    folded TEXT NOT NULL,
    locale TEXT,
    attributes TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE thread (
    id BLOB PRIMARY KEY,
    channel TEXT NOT NULL,
    channel_kind TEXT NOT NULL,
    address TEXT NOT NULL,
    folded TEXT NOT NULL,
    contact BLOB NOT NULL,
    partition INTEGER NOT NULL,
    verified INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_out_seq INTEGER NOT NULL,
    delivered_seq INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (channel, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    id BLOB PRIMARY KEY,
    contact BLOB NOT NULL,
    thread BLOB NOT NULL,
    channel TEXT NOT NULL,
    partition INTEGER NOT NULL,
    state TEXT NOT NULL,
    grp BLOB,
    agent BLOB,
    last_agent BLOB,
    waiting_since INTEGER,
    snoozed_until INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_pos INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    last_preview TEXT,
    last_from TEXT,
    last_message_at INTEGER,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX conversation_thread ON conversation (thread, created_at, id);
CREATE INDEX conversation_newest ON conversation (updated_at, id);
-- Closed ones pile up, the rest are few: lists without them must not wade through them.
CREATE INDEX conversation_active ON conversation (updated_at, id) WHERE state <> 'closed';
CREATE INDEX conversation_agent ON conversation (agent, updated_at, id) WHERE state <> 'closed';
CREATE INDEX conversation_waiting ON conversation (coalesce(waiting_since, created_at), id)
    WHERE state IN ('new', 'waiting');
CREATE INDEX conversation_place ON conversation (grp, coalesce(waiting_since, created_at), id)
    WHERE state IN ('new', 'waiting');
CREATE INDEX conversation_snoozed ON conversation (snoozed_until) WHERE state = 'snoozed';

CREATE TABLE message (
    id BLOB PRIMARY KEY,
    conversation BLOB NOT NULL,
    thread BLOB NOT NULL,
    pos INTEGER NOT NULL,
    thread_seq INTEGER,
    out_seq INTEGER,
    kind TEXT NOT NULL,
    direction TEXT NOT NULL,
    sender TEXT NOT NULL,
    agent BLOB,
    content TEXT NOT NULL,
    external_id TEXT,
    at INTEGER NOT NULL,
    state TEXT,
    reason TEXT,
    attempts INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_pos ON message (conversation, pos);
CREATE UNIQUE INDEX message_thread_seq ON message (thread, thread_seq) WHERE thread_seq IS NOT NULL;
CREATE UNIQUE INDEX message_out_seq ON message (thread, out_seq) WHERE out_seq IS NOT NULL;

CREATE TABLE outbox (
    partition TEXT NOT NULL,
    seq INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    id BLOB NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (partition, seq)
) STRICT, WITHOUT ROWID;
-- Rows go when they are relayed, the number they have reached must not.
CREATE TABLE outbox_head (
    partition TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    id BLOB PRIMARY KEY,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `ready`: its number is the lane's next one.
CREATE TABLE parked (
    id BLOB PRIMARY KEY,
    lane BLOB NOT NULL,
    out_seq INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    channel TEXT NOT NULL,
    due INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    attempts INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    parked_at INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    UNIQUE (lane, out_seq)
) STRICT;
CREATE INDEX parked_due ON parked (shard, due) WHERE ready = 1;
CREATE INDEX parked_channel ON parked (channel, parked_at);

CREATE TABLE attempt (
    message BLOB NOT NULL,
    part INTEGER NOT NULL,
    lane BLOB NOT NULL,
    out_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    exchange TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (message, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_lane ON attempt (lane, out_seq, part);
CREATE INDEX attempt_at ON attempt (at);

-- What we sent and what the provider said of it; either may come first.
CREATE TABLE receipt (
    channel TEXT NOT NULL,
    external_id TEXT NOT NULL,
    message BLOB,
    part INTEGER,
    state TEXT,
    reason TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, external_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_message ON receipt (message) WHERE message IS NOT NULL;
CREATE INDEX receipt_at ON receipt (at);

CREATE TABLE live (
    thread BLOB NOT NULL,
    gateway TEXT NOT NULL,
    PRIMARY KEY (thread, gateway)
) STRICT, WITHOUT ROWID;
CREATE INDEX live_gateway ON live (gateway);

CREATE TABLE channel_state (
    channel TEXT PRIMARY KEY,
    paused TEXT,
    paused_at INTEGER,
    until INTEGER,
    last_error TEXT,
    last_error_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE dead (
    id BLOB PRIMARY KEY,
    direction TEXT NOT NULL,
    channel TEXT NOT NULL,
    conversation BLOB,
    lane BLOB,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    exchange TEXT,
    envelope BLOB NOT NULL,
    at INTEGER NOT NULL,
    status TEXT NOT NULL,
    closed_at INTEGER
) STRICT;
CREATE INDEX dead_newest ON dead (status, at, id);
CREATE INDEX dead_closed ON dead (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE agent (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    load INTEGER NOT NULL,
    presence TEXT NOT NULL,
    assigned_at INTEGER,
    active INTEGER NOT NULL,
    console_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE grp (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    strategy TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE grp_agent (
    grp BLOB NOT NULL,
    agent BLOB NOT NULL,
    PRIMARY KEY (grp, agent)
) STRICT, WITHOUT ROWID;
CREATE INDEX grp_agent_agent ON grp_agent (agent);
CREATE TABLE grp_channel (
    grp BLOB NOT NULL,
    channel TEXT NOT NULL,
    PRIMARY KEY (grp, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id BLOB PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    agent BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number is never given again, even after retention deleted the newest row.
CREATE TABLE event_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    conversation BLOB,
    agent BLOB,
    data TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    agent BLOB,
    token BLOB,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
