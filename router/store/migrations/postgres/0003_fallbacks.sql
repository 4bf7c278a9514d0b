-- A wait that gives way to any other, and ends with any word from `sent` on.
ALTER TABLE expect ADD COLUMN fallback boolean NOT NULL DEFAULT false;
