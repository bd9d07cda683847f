-- Deliveries in the order in which they were written: an end never overtakes its beginning.
create table delivery_in_order (
    seq             integer primary key,
    id              text    not null unique,  -- UUID version 7
    run_id          integer not null,         -- 0 where no run made it
    notifier        text    not null,
    kind            text    not null default 'news'
                    check (kind in ('news', 'note', 'brief', 'bundle', 'digest')),
    topic           text    not null default '', -- what is told of in order: watch and strategy
    title           text    not null,
    body            text    not null,
    url             text,
    alert_ids       text    not null,         -- JSON
    status          text    not null check (status in ('pending', 'sending', 'delivered', 'dead')),
    urgent          integer not null default 0, -- waits for nothing: no quiet hours, no bundle, no budget
    held            integer not null default 0, -- written in quiet hours, to be told in a brief at their end
    carried_by      text,                     -- the brief, bundle or digest that tells it
    attempts        integer not null default 0,
    parts_done      integer not null default 0,
    doubts          integer not null default 0, -- attempts after which nobody knows whether it was taken
    created_at      integer not null,
    next_attempt_at integer not null,
    lease_until     integer,
    last_error      text,
    delivered_at    integer,
    retried_at      integer,                  -- when a person asked to try again: patience begins anew
    dropped_at      integer                   -- when a person gave it up: nobody need look at it again
);
insert into delivery_in_order
    (id, run_id, notifier, topic, title, body, url, alert_ids, status, attempts, parts_done, doubts, created_at,
     next_attempt_at, lease_until, last_error, delivered_at)
select id, run_id, notifier,
       coalesce((select case when strategy = 'run' and subject not in ('', 'stale') then 'host/' || subject
                             else watch_id || '/' || strategy end
                 from alert where alert.id = alert_ids ->> 0), ''),
       title, body, url, alert_ids, status, attempts, parts_done, attempts, created_at,
       next_attempt_at, lease_until, last_error, delivered_at
from delivery order by created_at, id;
drop table delivery;
alter table delivery_in_order rename to delivery;
create index delivery_waiting on delivery (notifier, seq) where status in ('pending', 'sending');
create index delivery_urgent on delivery (notifier, topic) where status in ('pending', 'sending') and urgent = 1;
-- What later ones of the same topic wait for.
create index delivery_ahead on delivery (notifier, topic)
    where status in ('pending', 'sending') and (carried_by is not null or held = 1);
create index delivery_tried on delivery (notifier, topic) where status in ('pending', 'sending') and attempts > 0;
create index delivery_delivered on delivery (notifier, delivered_at) where carried_by is null;
create index delivery_carried on delivery (carried_by) where carried_by is not null;
create index delivery_created on delivery (created_at);
create index delivery_run on delivery (run_id);

-- Every try to send a delivery, and what came of it.
create table attempt (
    delivery_id text    not null,
    attempt     integer not null,
    at          integer not null,
    outcome     text    not null,             -- delivered, retry or dead
    why         text,
    primary key (delivery_id, attempt)
) without rowid;
create index attempt_at on attempt (at);

-- The last alert of a subject, for the end of what it began.
create index alert_subject on alert (watch_id, strategy, subject, created_at);

-- A person's "not now"; it always ends.
create table silence (
    id         integer primary key,
    matchers   text    not null,              -- JSON
    starts_at  integer not null,
    ends_at    integer not null,
    created_at integer not null,
    created_by text    not null,
    comment    text    not null,
    told_at    integer                        -- when a message said that it had ended
);
create index silence_ends on silence (ends_at);

-- Slots of a watch that no good run stands for, one row for each stretch of them.
create table gap (
    id              integer primary key,
    watch_id        integer not null references watch (id),
    first_due_at    integer not null,
    last_due_at     integer not null,
    next_due_at     integer,                  -- the slot after them
    slots           integer not null,         -- those of them that have no run of their own
    outcome         text    not null check (outcome in ('skipped', 'repaired', 'failed')),
    attempts        integer not null default 0, -- of its repair
    next_attempt_at integer,                  -- null when nothing more will be tried
    why             text,
    unique (watch_id, first_due_at)
);
create index gap_next on gap (watch_id, next_due_at) where next_attempt_at is not null;
create index gap_due on gap (next_attempt_at) where next_attempt_at is not null;

-- What the daemon remembers about itself.
create table memo (
    name  text primary key,
    value text not null
) without rowid;

-- When it was first seen, for whoever looks back: a dated value after its date, a bar after it closed.
-- Null for what an older program saw.
alter table observation add column first_seen_at integer;
-- When a complete answer no longer mentioned it.
alter table observation add column gone_at integer;
update observation set gone_at = last_seen_at + 1
where id in (select observation_id from subject where present = 0);
alter table candle add column seen_at integer;

-- The few runs that changed what was settled on, for whoever asks what was so before.
create index run_settled on run (watch_id) where instr(verdicts, '"before":') > 0;

-- Slots that passed before a run was over and that nobody will fill in: with the run, since where runs come too
-- late nearly every one leaves some.
alter table run add column passed_from integer;
alter table run add column passed_until integer;
alter table run add column passed integer;
alter table run add column passed_why text;
