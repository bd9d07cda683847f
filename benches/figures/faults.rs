//! Every way in which one server can misbehave, while four others are asked by the same daemon.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stakeout::http::Request;

use crate::bench::Bench;
use crate::measure::{memory, unix_time};
use crate::table::{Aim, Measured, row, seconds, time_in_words};

const TIMEOUT: Duration = Duration::from_secs(2);
const ILL: &str = "ill";

/// For how long it misbehaves: several timeouts.
const WINDOW: Duration = Duration::from_secs(8);

/// What the origin can do.
const FAULTS: [(&str, &str); 28] = [
    ("hang", ""),
    ("stall", ""),
    ("slowloris", "&ms=100"),
    ("drip", "&ms=100"),
    ("delay", "&ms=10000"),
    ("truncate", ""),
    ("garbage", ""),
    ("badchunk", ""),
    ("badgzip", ""),
    ("gzipbomb", "&mb=1024"),
    ("huge", "&mb=1024"),
    ("huge", "&mb=1024&chunked=1"),
    ("endless", ""),
    ("headerbomb", "&kb=10240"),
    ("redirectloop", ""),
    ("redirectchain", "&hops=50"),
    ("redirectto", "&url=file%3A%2F%2F%2Fetc%2Fpasswd"),
    ("redirectto", "&url=http%3A%2F%2F127.0.0.9%3A1%2F"),
    ("close", ""),
    ("reset", ""),
    ("badutf8", ""),
    ("wrongtype", ""),
    ("empty", ""),
    ("botwall", ""),
    ("maintenance", ""),
    ("nulls", ""),
    ("yahooerror", ""),
    ("status", "&code=503"),
];

/// What one fault did.
struct Seen {
    lateness: Duration,
    peak: f64,
    longest: Duration,
    is_changed: bool,
    outcomes: String,
    run_says: String,
    message_says: String,
}

pub(super) async fn faults(program: &Path) -> Result<()> {
    let bench = Bench::start_on(program, 5).await?;
    // It is packed once, which takes longer than any run.
    let mut bomb = Request::get(bench.url("/v8/finance/chart/WARM?fault=gzipbomb&mb=1024")?);
    bomb.headers.push(("accept-encoding".into(), "identity".into()));
    let _ = bench.http.send(&bomb).await;

    println!(
        "{:<34} {:>9} {:>9} {:>9}  {:<10} {:<22} what the run says, and the message",
        "fault", "late p99", "memory", "longest", "state", "runs"
    );
    let (mut lateness, mut peak, mut longest, mut changed) = (Duration::ZERO, 0.0_f64, Duration::ZERO, 0);
    for (fault, more) in FAULTS {
        let seen = one(&bench, fault, more).await.with_context(|| format!("{fault}{more}"))?;
        println!(
            "{:<34} {:>9} {:>9} {:>9}  {:<10} {:<22} {}\n{:89}{}",
            format!("{fault}{more}"),
            time_in_words(seen.lateness),
            format!("{:.1} MB", seen.peak),
            time_in_words(seen.longest),
            if seen.is_changed { "CHANGED" } else { "unchanged" },
            seen.outcomes,
            seen.run_says,
            "",
            seen.message_says,
        );
        lateness = lateness.max(seen.lateness);
        peak = peak.max(seen.peak);
        longest = longest.max(seen.longest);
        changed += u64::from(seen.is_changed);
    }
    row("lateness p99 of the other four, worst fault", Measured::Time(lateness), Aim::Under(seconds(0.25)));
    row("memory (resident) at most, worst fault", Measured::Megabytes(peak), Aim::Megabytes(100.0));
    row(
        "longest run, with a timeout of 2 s",
        Measured::Time(longest),
        Aim::Under(TIMEOUT + Duration::from_secs(1)),
    );
    row("faults that changed what was stored", Measured::Count(changed), Aim::AtMost(0));
    Ok(())
}

/// Five watches, each of a host of its own, all well; then one host falls ill.
async fn one(bench: &Bench, fault: &str, more: &str) -> Result<Seen> {
    bench.forget()?;
    for command in ["reset", "sink/clear"] {
        bench.admin(command).await?;
    }
    let port = bench.origin.port().context("the origin has no port")?;
    let mut watches = String::from("[alerting]\nfail_after = 2\n\n");
    for (n, name) in (1..).zip([ILL, "one", "two", "three", "four"]) {
        writeln!(
            watches,
            "[watch.{name}]\nsource = {{ kind = \"yahoo\", symbols = [\"{name}\"], interval = \"30m\", \
             base_url = \"http://127.0.0.{n}:{port}\" }}\nevery = \"500ms\"\n",
        )?;
    }
    let fetch = "timeout = \"2s\"\nbackoff = { first = \"0s\", longest = \"0s\" }\n";
    let file = bench.write_with(fetch, &watches)?;
    let daemon = bench.run(&file)?;
    let path = bench.data_dir().join("stakeout.db");
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let mut database = None;
    bench
        .until("each watch to run twice", Duration::from_secs(20), &daemon, async || {
            if database.is_none() {
                database = SqlitePool::connect_with(options.clone()).await.ok();
            }
            let Some(database) = &database else { return Ok(false) };
            let least = "select coalesce(min(n), 0) from (select count(run.id) as n from watch
                         left join run on run.watch_id = watch.id where watch.origin = 'file' group by watch.id)";
            let least: Result<i64, _> = sqlx::query_scalar(least).fetch_one(database).await;
            Ok(least.is_ok_and(|least| least >= 2))
        })
        .await?;
    let database = database.context("no database")?;
    let before = stored(&database).await?;

    bench.admin(&format!("fault?prefix=/v8/finance/chart/{ILL}&fault={fault}&max_s=30{more}")).await?;
    let from = i64::try_from(unix_time().as_millis())?;
    tokio::time::sleep(WINDOW).await;
    let until = i64::try_from(unix_time().as_millis())?;
    let after = stored(&database).await?;
    let sink: Value = serde_json::from_str(&bench.admin("sink").await?)?;
    let memory = memory(daemon.id())?;
    bench.admin("fault/clear").await?;

    let late: Vec<(i64,)> = sqlx::query_as(
        "select started_at - due_at from run join watch on watch.id = run.watch_id
         where name <> ?1 and due_at between ?2 and ?3 order by 1",
    )
    .bind(ILL)
    .bind(from)
    .bind(until)
    .fetch_all(&database)
    .await?;
    ensure!(!late.is_empty(), "the other watches did not run");
    let p99 = late.get(late.len().saturating_mul(99) / 100).or(late.last()).map_or(0, |(ms,)| *ms);
    let (longest,): (i64,) = sqlx::query_as(
        "select coalesce(max(finished_at - started_at), 0) from run join watch on watch.id = run.watch_id
         where name = ?1 and started_at >= ?2",
    )
    .bind(ILL)
    .bind(from)
    .fetch_one(&database)
    .await?;
    let outcomes: Vec<(String, i64)> = sqlx::query_as(
        "select outcome, count(*) from run join watch on watch.id = run.watch_id
         where name = ?1 and started_at >= ?2 group by outcome order by outcome",
    )
    .bind(ILL)
    .bind(from)
    .fetch_all(&database)
    .await?;
    let said: Option<(Option<String>,)> = sqlx::query_as(
        "select error from run join watch on watch.id = run.watch_id
         where name = ?1 and started_at >= ?2 order by run.id desc limit 1",
    )
    .bind(ILL)
    .bind(from)
    .fetch_optional(&database)
    .await?;
    database.close().await;
    daemon.stop().await?;
    let milliseconds = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    let outcomes: Vec<String> =
        outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let posts = sink.get("posts").and_then(Value::as_array).cloned().unwrap_or_default();
    let message = posts.iter().rev().find_map(|post| post.get("text")?.as_str()).unwrap_or("no message");
    Ok(Seen {
        lateness: milliseconds(p99),
        peak: memory.peak,
        longest: milliseconds(longest),
        is_changed: before != after,
        outcomes: outcomes.join(", "),
        run_says: said.and_then(|(error,)| error).unwrap_or_else(|| "nothing wrong".into()),
        message_says: message.lines().next().unwrap_or_default().chars().take(160).collect(),
    })
}

/// What is known of the watch that falls ill: its subjects, every bar that was seen of them, how its signals
/// stand.
async fn stored(database: &SqlitePool) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select json_array('subject', subject.subject, present) from subject
             join watch on watch.id = subject.watch_id where watch.name = ?1
         union all
         select json_array('bar', subject, open_time, open, high, low, close, volume) from candle
             join watch on watch.id = candle.watch_id where watch.name = ?1
         union all
         select json_array('state', strategy, subject, state) from signal_state
             join watch on watch.id = signal_state.watch_id where watch.name = ?1 and strategy <> 'run'
         order by 1",
    )
    .bind(ILL)
    .fetch_all(database)
    .await?;
    Ok(rows.into_iter().map(|(row,)| row).collect())
}
