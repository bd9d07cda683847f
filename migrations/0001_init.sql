-- Times are milliseconds since the Unix epoch, UTC. Structured readings are JSON in the shape of the API.

create table watch (
    id          integer primary key,
    name        text    not null unique,
    origin      text    not null check (origin in ('file', 'api')),
    spec        text    not null,             -- the watch's own TOML table
    spec_hash   integer not null,
    enabled     integer not null default 1,
    created_at  integer not null,
    removed_at  integer                       -- no longer in the watchlist; its history stays
);

-- When each watch is due next; none for one that never is. Apart from the watches, because every run
-- writes it: the rows are small, so that many lie on one page.
create table due (
    watch_id    integer primary key references watch (id),
    next_due_at integer not null
);
create index due_next on due (next_due_at);

create table run (
    id           integer primary key,
    watch_id     integer not null references watch (id),
    "trigger"    text    not null,
    due_at       integer not null,
    started_at   integer not null,
    finished_at  integer not null,
    outcome      text    not null,
    error        text,
    observations integer not null default 0,
    signals      integer not null default 0,
    alerts       integer not null default 0,
    verdicts     text                         -- JSON: what was decided about each signal, and why
);
-- Most runs find the same bytes as before; they are counted in bulk, never looked for one by one.
create index run_watch on run (watch_id, started_at) where outcome <> 'unchanged';

-- What is known of a request's last answer that was read and stored.
create table http_cache (
    watch_id      integer not null references watch (id),
    request       integer not null,           -- a hash of what was asked
    etag          text,
    last_modified text,
    body_hash     blob    not null,
    primary key (watch_id, request)
) without rowid;

-- The last view of each subject.
create table subject (
    watch_id       integer not null references watch (id),
    subject        text    not null,
    request        integer not null,          -- whose answer it stands in
    present        integer not null,          -- 0: a complete answer no longer mentions it
    hash           integer not null,
    observed_at    integer not null,
    observation_id integer,                   -- its row of the history; candles have none
    bars           text,                      -- for candles: the observation without them
    last_seen_at   integer not null,
    primary key (watch_id, subject)
) without rowid;

-- One row for each different reading (for dated values: one for each date).
create table observation (
    id           integer primary key,
    watch_id     integer not null references watch (id),
    subject      text    not null,
    observed_at  integer not null,
    last_seen_at integer not null,
    times_seen   integer not null default 1,
    url          text,
    reading      text    not null,
    unique (watch_id, subject, observed_at)
);
create index observation_seen on observation (last_seen_at);

create table candle (
    watch_id  integer not null references watch (id),
    subject   text    not null,
    interval  integer not null,               -- seconds
    open_time integer not null,
    open      real    not null,
    high      real    not null,
    low       real    not null,
    close     real    not null,
    volume    real    not null,
    primary key (watch_id, subject, interval, open_time)
) without rowid;
create index candle_time on candle (open_time);

-- What a strategy settled on about a subject. Watch 0 is the daemon itself, whose subjects are hosts.
create table signal_state (
    watch_id integer not null,
    strategy text    not null,
    subject  text    not null,
    state    text    not null,                -- JSON
    primary key (watch_id, strategy, subject)
) without rowid;

create table alert (
    id         text    primary key,           -- UUID version 7
    run_id     integer not null,
    watch_id   integer not null,
    watch      text    not null,
    strategy   text    not null,
    subject    text    not null,
    status     text    not null,
    created_at integer not null,
    alert      text    not null               -- JSON
) without rowid;
create index alert_created on alert (created_at);
create index alert_watch on alert (watch_id, created_at);

create table delivery (
    id              text    primary key,      -- UUID version 7
    run_id          integer not null,
    notifier        text    not null,
    title           text    not null,
    body            text    not null,
    url             text,
    alert_ids       text    not null,         -- JSON
    status          text    not null check (status in ('pending', 'sending', 'delivered', 'dead')),
    attempts        integer not null default 0,
    parts_done      integer not null default 0,
    created_at      integer not null,
    next_attempt_at integer not null,
    lease_until     integer,
    last_error      text,
    delivered_at    integer
) without rowid;
create index delivery_due on delivery (notifier, next_attempt_at) where status in ('pending', 'sending');
create index delivery_created on delivery (created_at);
