-- Agents' sessions, which are kept upstream: whose they are.

-- A seat: who talks to which agent, from where, as whom. It has a session, or somebody's claim to make one.
CREATE TABLE agent_seats (
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    agent       TEXT NOT NULL,
    channel     TEXT NOT NULL,
    cuid        TEXT NOT NULL,
    session     TEXT,
    used        INTEGER NOT NULL,   -- UTC milliseconds
    claim       BLOB,
    claimed     INTEGER NOT NULL,
    PRIMARY KEY (principal, project, agent, channel, cuid)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_seats_by_session ON agent_seats (agent, session);
CREATE INDEX agent_seats_by_use ON agent_seats (used);

-- Sessions that were opened by name.
CREATE TABLE agent_sessions (
    agent       TEXT NOT NULL,
    session     TEXT NOT NULL,
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    used        INTEGER NOT NULL,
    PRIMARY KEY (agent, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_sessions_by_use ON agent_sessions (used);
