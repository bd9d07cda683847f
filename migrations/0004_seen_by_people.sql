-- When each watch is due next and how its last run went: one small row that every run writes. A watch that is
-- paused, or never due again, keeps its row without a slot.
create table due_and_ran (
    watch_id    integer primary key references watch (id),
    next_due_at integer,
    ran_at      integer,                       -- when its last run was decided
    outcome     text                           -- of that run
);
insert into due_and_ran (watch_id, next_due_at) select watch_id, next_due_at from due;
drop table due;
alter table due_and_ran rename to due;
create index due_next on due (next_due_at) where next_due_at is not null;

-- A person's "not this one, until I say so".
alter table watch add column paused_at integer;
-- The TOML of a watch that was added by way of the API or the command line; it holds no secret.
alter table watch add column toml text;

-- What fires now, for the overview.
create index signal_firing on signal_state (watch_id) where state ->> 'firing';

-- Who has logged in; only a hash of what the browser shows is kept.
create table session (
    id_hash    blob    primary key,
    created_at integer not null,
    expires_at integer not null
) without rowid;

-- What a person has yet to look at: counted for every page.
create index delivery_dead on delivery (seq) where status = 'dead' and dropped_at is null;
