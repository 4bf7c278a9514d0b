-- Tokens that providers gave us. One row per account, shared by every channel and process of it; whoever may fetch the
-- next one stands in the row.
CREATE TABLE provider_token (
    account TEXT PRIMARY KEY,
    value TEXT,
    generation INTEGER NOT NULL,
    fetched_at INTEGER,
    expires_at INTEGER,
    renewed_at INTEGER,
    fetcher TEXT,
    fetch_until INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    retry_at INTEGER
) STRICT;
