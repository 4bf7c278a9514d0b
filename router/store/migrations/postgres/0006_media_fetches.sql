-- Messages whose files are still at the provider. `due` is also how long whoever fetches has them for itself.
CREATE TABLE media_fetch (
    message uuid PRIMARY KEY,
    channel text NOT NULL,
    due int8 NOT NULL,
    attempts int8 NOT NULL
);
CREATE INDEX media_fetch_due ON media_fetch (due);
