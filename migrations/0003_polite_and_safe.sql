-- How long a host is left alone, because it refused us or did not answer: kept over a restart.
create table host (
    host       text    primary key,           -- with its port, where that is not the usual one
    wait_ms    integer not null,              -- doubles with each refusal, halves with each good answer
    since      integer not null,
    until      integer not null,              -- not asked before
    kind       text    not null check (kind in ('blocked', 'down')),
    why        text    not null,
    changed_at integer not null
) without rowid;

-- An answer after which nothing is asked again until the watch changes, such as "unavailable for legal reasons".
alter table http_cache add column final_answer text;

-- How long a run waited for its hosts' turn, for whoever asks why it was late.
alter table run add column waited_ms integer not null default 0;
alter table run add column waited_for text;    -- which host, where that was long
