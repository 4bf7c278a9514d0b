-- A wait that gives way to any other, and ends with any word from `sent` on.
ALTER TABLE expect ADD COLUMN fallback INTEGER NOT NULL DEFAULT 0;
