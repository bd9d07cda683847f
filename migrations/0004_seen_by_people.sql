-- When each watch is due next and how its last run went: one small row that every run writes. A watch that is
-- paused, or never due again, keeps its row without a slot.
create table due_and_ran (
    watch_id    integer primary key references watch (id),
    next_due_at integer,
    ran_at      integer,                       -- when its last run was decided
    outcome     text,                          -- of that run
    run_id      integer,                       -- its own number, or little more
    paused_from integer                        -- of a paused watch: its first slot that nobody stands for yet
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

-- The runs of one watch, also those that found nothing new, for whoever looks at it: of many watches' runs they
-- are few. Their neighbourhood stands in front, so that the index grows only at its end: each run pays for it.
create index run_of_watch on run (id >> 10, watch_id);
-- When an item could last be bought, and the lowest price it had.
create index observation_buyable on observation (watch_id, subject, observed_at)
    where reading ->> 'availability' in ('in_stock', 'limited_availability');
create index observation_price on observation (watch_id, subject, reading ->> 'price')
    where reading ->> 'kind' = 'listing';

-- Who has logged in; only a hash of what the browser shows is kept.
create table session (
    id_hash    blob    primary key,
    created_at integer not null,
    expires_at integer not null
) without rowid;

-- What a watch saw last, whichever the subject.
create index observation_time on observation (watch_id, observed_at);
-- What a person has yet to look at: counted for every page.
create index delivery_dead on delivery (seq, dropped_at) where status = 'dead';
-- What was told, by what a person may ask for.
create index delivery_notifier on delivery (notifier);
create index alert_of_subject on alert (subject, created_at);
create index alert_strategy on alert (strategy, created_at);
create index alert_status on alert (status, created_at);
