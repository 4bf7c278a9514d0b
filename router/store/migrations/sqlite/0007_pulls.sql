-- How far each line of a provider has been pulled. `rung` counts doorbells, `served` those after which everything was
-- pulled.
CREATE TABLE pull (
    name TEXT PRIMARY KEY,
    cursor TEXT,
    rung INTEGER NOT NULL DEFAULT 0,
    served INTEGER NOT NULL DEFAULT 0,
    hint TEXT,
    rung_at INTEGER
) STRICT, WITHOUT ROWID;
