//! The dashboard and the API over two thousand watches and a million observations.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use stakeout::store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::measure::memory;
use crate::table::{Aim, Measured, middle, row};

const WATCHES: usize = 2_000;
const LISTINGS: usize = 100;
const CHARTS: usize = 300;

/// What is made up beside what the first runs see, for each subject.
const PAST: usize = 211;
const PAST_OF_LISTINGS: usize = 190;

const CLIENTS: usize = 500;

/// Pages are asked for so often; the middle one counts.
const TIMES: usize = 31;

pub(super) async fn dashboard(bench: &Bench) -> Result<()> {
    let file = bench.write(&watches())?;
    let daemon = bench.run(&file)?;
    let all_ran = async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The daemon has yet to make it.
        let Ok(mut database) = database(bench).await else { return Ok(false) };
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) filter (where ran_at is null) + (count(*) = 0) from watch left join due on due.watch_id = watch.id",
        )
        .fetch_one(&mut database)
        .await
        .unwrap_or(i64::MAX);
        database.close().await?;
        Ok(waiting == 0)
    };
    bench.until("every watch to run once", Duration::from_secs(120), &daemon, all_ran).await?;
    daemon.stop().await?;
    let stored = make_up_the_past(bench).await?;
    row("observations and bars stored", Measured::Count(stored), Aim::Nothing);

    let daemon = bench.run(&file)?;
    let there = async || Ok(ask(bench, "/healthz", "identity").await.is_ok());
    bench.until("the daemon to answer", Duration::from_secs(20), &daemon, there).await?;
    // The first runs after a start read everything anew.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let fifty = || Aim::Under(Duration::from_millis(50));
    let twenty = || Aim::Under(Duration::from_millis(20));
    for (what, path, aim) in [
        ("overview of 2,000 watches", "/", fifty()),
        ("the same, sorted by name, last page", "/?sort=name&page=10", fifty()),
        ("page of a watch with a chart", "/watches/chart-7", fifty()),
        ("page of a watch with 36 items", "/watches/listing-7", fifty()),
        ("page of a watch with texts", "/watches/page-7", fifty()),
        ("alerts", "/alerts", fifty()),
        ("alerts of a watch", "/alerts?watch=chart-7", fifty()),
        ("deliveries", "/deliveries", fifty()),
        ("24-hour metrics", "/metrics-table", fifty()),
        ("API: 2,000 watches, a hundred of them", "/api/v1/watches?limit=100", twenty()),
        ("API: observations of a listing", "/api/v1/watches/listing-7/observations?limit=100", twenty()),
        ("API: observations of one subject", "/api/v1/watches/page-7/observations?limit=100", twenty()),
        ("API: candles", "/api/v1/watches/chart-7/candles?limit=100", twenty()),
        ("API: runs", "/api/v1/watches/chart-7/runs?limit=100", twenty()),
        ("API: slots", "/api/v1/watches/chart-7/slots?since=24h", twenty()),
        (
            "API: every run, also those that found nothing new",
            "/api/v1/watches/chart-7/runs?unchanged=true",
            twenty(),
        ),
        ("API: candles of a day", "/api/v1/watches/chart-7/candles?since=24h", twenty()),
        ("API: alerts", "/api/v1/alerts?limit=100", twenty()),
        ("API: alerts of a watch", "/api/v1/alerts?watch=chart-7", twenty()),
        ("API: dead deliveries", "/api/v1/deliveries?status=dead", twenty()),
        ("API: the metrics of a listing", "/api/v1/metrics/listing-7", twenty()),
    ] {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            ask(bench, path, "identity").await?;
            times.push(began.elapsed());
        }
        row(what, Measured::Time(middle(times)), aim);
    }
    for (what, path) in
        [("overview, compressed", "/"), ("page of a watch with a chart, compressed", "/watches/chart-7")]
    {
        let bytes = ask(bench, path, "br, gzip").await?.len();
        row(what, Measured::Count(bytes as u64), Aim::AtMost(150_000));
    }
    row("memory (resident) by now", Measured::Megabytes(memory(daemon.id())?.now), Aim::Megabytes(120.0));
    events(bench).await?;
    let used = memory(daemon.id())?;
    row("memory (resident) with 500 who listen", Measured::Megabytes(used.now), Aim::Megabytes(120.0));
    row("memory (resident) at most since the start", Measured::Megabytes(used.peak), Aim::Megabytes(120.0));
    daemon.stop().await
}

/// Five hundred who listen, one change, and how soon all of them know.
async fn events(bench: &Bench) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(open(bench, "/api/v1/events", "identity").await?);
    }
    for client in &mut clients {
        read_until(client, b"\r\n\r\n").await.context("an answer to who listens")?;
    }
    bench.admin("page/bump?n=7").await?;
    let began = Instant::now();
    let mut told = 0_u64;
    for client in &mut clients {
        if timeout(Duration::from_secs(30), read_until(client, b"\"page-7\""))
            .await
            .is_ok_and(|read| read.is_ok())
        {
            told += 1;
        }
    }
    row("of 500 who listen, told of a change", Measured::Count(told), Aim::Nothing);
    ensure!(told == CLIENTS as u64, "{} were not told", CLIENTS as u64 - told);
    // The watch looks every five seconds, and events are gathered for half a second.
    row("until the last of them knew", Measured::Time(began.elapsed()), Aim::Under(Duration::from_secs(8)));
    Ok(())
}

/// A listing, a chart or a page each; only one page is looked at often.
fn watches() -> String {
    let mut text = String::new();
    for n in 0..WATCHES {
        let _ = if n < LISTINGS {
            writeln!(
                text,
                "[watch.listing-{n}]\nevery = \"1h\"\nstrategy = [{{ kind = \"restock\" }}]\n\
                 source = {{ kind = \"newegg\", url = \"ORIGIN/newegg/{n}?kb=60&items=36\" }}"
            )
        } else if n < LISTINGS + CHARTS {
            writeln!(
                text,
                "[watch.chart-{}]\nevery = \"1h\"\nstrategy = [{{ kind = \"rsi\" }}]\n\
                 source = {{ kind = \"yahoo\", symbols = [\"S{n}\"], interval = \"30m\", base_url = \"ORIGIN\" }}",
                n - LISTINGS
            )
        } else {
            let n = n - LISTINGS - CHARTS;
            let every = if n == 7 { "5s" } else { "1h" };
            writeln!(
                text,
                "[watch.page-{n}]\nevery = \"{every}\"\nstrategy = [{{ kind = \"text_changed\" }}]\n\
                 source = {{ kind = \"page\", url = \"ORIGIN/page/{n}?kb=20\", select = \"h1\" }}"
            )
        };
    }
    text
}

/// Gives each subject a past of its own, a reading an hour, and each watch runs, alerts and messages; answers how
/// much was seen.
async fn make_up_the_past(bench: &Bench) -> Result<u64> {
    let mut database = database(bench).await?;
    for (kind, count, change) in [
        ("listing", PAST_OF_LISTINGS, "json_set(reading, '$.price', 300 + abs(random() % 2000) / 10.0)"),
        ("text", PAST, "json_set(reading, '$.text', 'made up ' || abs(random()))"),
    ] {
        let sql = format!(
            "with recursive past (n) as (select 1 union all select n + 1 from past where n < {count})
             insert into observation (watch_id, subject, observed_at, last_seen_at, times_seen, url, reading, first_seen_at)
             select watch_id, subject, observed_at - n * 3600000, observed_at - n * 3600000 + 1800000, 1, url, {change},
                    observed_at - n * 3600000
             from observation join past where reading ->> 'kind' = '{kind}'"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut database).await?;
    }
    for statement in [RUNS, ALERTS, DELIVERIES] {
        for part in statement.split(';') {
            sqlx::query(part).execute(&mut database).await?;
        }
    }
    let stored: i64 =
        sqlx::query_scalar("select (select count(*) from observation) + (select count(*) from candle)")
            .fetch_one(&mut database)
            .await?;
    let (runs, alerts): (i64, i64) =
        sqlx::query_as("select (select count(*) from run), (select count(*) from alert)")
            .fetch_one(&mut database)
            .await?;
    ensure!(alerts > 0, "no watch told anything: there is nothing to make up alerts from");
    for (what, count) in [("runs stored", runs), ("alerts stored", alerts)] {
        row(what, Measured::Count(u64::try_from(count).unwrap_or_default()), Aim::Nothing);
    }
    database.close().await?;
    Ok(u64::try_from(stored).unwrap_or_default())
}

/// Five hundred runs of each watch, in the order of their time; most found the same as before.
const RUNS: &str = "
    delete from run;
    with recursive past (n) as (select 500 union all select n - 1 from past where n > 1),
         last (at) as (select max(ran_at) from due)
    insert into run (watch_id, \"trigger\", due_at, started_at, finished_at, outcome, error)
    select watch.id, 'schedule', last.at - n * 3600000, last.at - n * 3600000 + 5, last.at - n * 3600000 + 25,
           case when n % 97 = 0 then 'failed' when n % 11 = 0 then 'ok' else 'unchanged' end,
           case when n % 97 = 0 then 'HTTP 503' end
    from past cross join last cross join watch";

/// Fifty thousand alerts like the first that there was.
const ALERTS: &str = "
    with recursive past (n) as (select 1 union all select n + 1 from past where n < 50000),
         made as (select n, first.*, first.created_at - n * 60000 as at,
                         lower(printf('%08x-%04x-7000-8000-%012x', (first.created_at - n * 60000) >> 16,
                                      (first.created_at - n * 60000) & 65535, n)) as made_id
                  from past cross join (select * from alert order by id limit 1) first)
    insert into alert (id, run_id, watch_id, watch, strategy, subject, status, created_at, alert)
    select made_id, n, watch.id, watch.name, strategy, subject, status, at,
           json_set(alert, '$.id', made_id, '$.watch', watch.name)
    from made join watch on watch.id = 1 + n % 2000";

/// A delivered message for each of them.
const DELIVERIES: &str = "
    insert into delivery (id, run_id, notifier, topic, title, body, alert_ids, status, attempts, created_at,
                          next_attempt_at, delivered_at)
    select id, run_id, 'sink', watch_id || '/' || strategy, alert ->> '$.title', '', json_array(id), 'delivered', 1,
           created_at, created_at, created_at + 500
    from alert where id not in (select value from delivery join json_each(alert_ids)) order by id";

async fn database(bench: &Bench) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(Store::path_in(&bench.data_dir()));
    Ok(options.busy_timeout(Duration::from_secs(20)).connect().await?)
}

/// The body of an answer as it came.
async fn ask(bench: &Bench, path: &str, encoding: &str) -> Result<Vec<u8>> {
    let mut stream = open(bench, path, encoding).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path} answers {}", first_line(&answer));
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").context("an answer without an end of its head")?;
    Ok(answer.split_off(end + 4))
}

async fn open(bench: &Bench, path: &str, encoding: &str) -> Result<TcpStream> {
    let host = bench.web.authority();
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: {encoding}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

fn first_line(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).lines().next().unwrap_or_default().to_owned()
}

async fn read_until(stream: &mut TcpStream, what: &[u8]) -> Result<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while memchr::memmem::find(&seen, what).is_none() {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "it ended after {:?}", String::from_utf8_lossy(&seen));
        seen.extend(buffer.get(..read).unwrap_or_default());
    }
    Ok(())
}
