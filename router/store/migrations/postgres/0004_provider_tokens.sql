-- Tokens that providers gave us. One row per account, shared by every channel and process of it; whoever may fetch the
-- next one stands in the row.
CREATE TABLE provider_token (
    account text PRIMARY KEY,
    value text,
    generation int8 NOT NULL,
    fetched_at int8,
    expires_at int8,
    renewed_at int8,
    fetcher text,
    fetch_until int8,
    failures int8 NOT NULL DEFAULT 0,
    failure text,
    retry_at int8
);
