-- Messages whose files are still at the provider. `due` is also how long whoever fetches has them for itself.
CREATE TABLE media_fetch (
    message BLOB PRIMARY KEY,
    channel TEXT NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX media_fetch_due ON media_fetch (due);
