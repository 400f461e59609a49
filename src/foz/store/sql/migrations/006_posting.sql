-- What workers on other machines tell the gateway's ledger of their jobs, and the entries of a job.

CREATE INDEX entries_of_jobs ON entries (job_id) WHERE job_id IS NOT NULL;

-- One row: all entries up to this id were told.
CREATE TABLE posting (
    only    INTEGER PRIMARY KEY CHECK (only = 0),
    upto    BLOB NOT NULL
) STRICT;
