-- Responses that callers go on from: what was asked in a turn, and what was answered.
CREATE TABLE responses (
    id          TEXT NOT NULL PRIMARY KEY,
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    previous    TEXT,
    created     INTEGER NOT NULL,   -- UTC milliseconds
    expires     INTEGER NOT NULL,   -- not found by itself from then on; 0 when it was removed
    kept        INTEGER NOT NULL,   -- forgotten from then on: as late as the last that goes on from it
    size        INTEGER NOT NULL,
    input       BLOB NOT NULL,
    body        BLOB,               -- NULL while it is made in the background
    queued      BLOB                -- NULL where it was not made in the background
) STRICT;
CREATE INDEX responses_by_owner ON responses (principal, project, created, id);
CREATE INDEX responses_by_end ON responses (kept);
CREATE INDEX responses_by_previous ON responses (previous) WHERE previous IS NOT NULL;

-- How much each owner has, so that nobody counts rows when one is added.
CREATE TABLE responses_room (
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    count       INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    PRIMARY KEY (principal, project)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER responses_come AFTER INSERT ON responses BEGIN
    INSERT INTO responses_room (principal, project, count, size) VALUES (new.principal, new.project, 1, new.size)
    ON CONFLICT (principal, project) DO UPDATE SET count = count + 1, size = size + excluded.size;
END;

CREATE TRIGGER responses_grow AFTER UPDATE OF size ON responses BEGIN
    UPDATE responses_room SET size = size + new.size - old.size
    WHERE principal = new.principal AND project = new.project;
END;

CREATE TRIGGER responses_go AFTER DELETE ON responses BEGIN
    UPDATE responses_room SET count = count - 1, size = size - old.size
    WHERE principal = old.principal AND project = old.project;
    DELETE FROM responses_room WHERE principal = old.principal AND project = old.project AND count <= 0;
END;
