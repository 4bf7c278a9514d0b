-- How far each line of a provider has been pulled. `rung` counts doorbells, `served` those after which everything was
-- pulled.
CREATE TABLE pull (
    name text PRIMARY KEY,
    cursor text,
    rung int8 NOT NULL DEFAULT 0,
    served int8 NOT NULL DEFAULT 0,
    hint text,
    rung_at int8
);
