//! Whole weeks, slot by slot: over both changes of the clocks, with quiet hours across midnight, an
//! exchange's holiday and half day, and a night without a daemon. Every slot is accounted for, and what was
//! held is told in the morning.

use std::collections::HashSet;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use stakeout::daemon::Clock;
use stakeout::model::Coverage;
use stakeout::watchlist::Watchlist;

use crate::harness::{Harness, Stage, moment, number};

const TOML: &str = r#"
[daemon]
timezone = "America/New_York"
[alerting]
quiet_hours = "22:00-07:00"
[watch.market]
source = { kind = "json", url = "{origin}/market", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "*/30 * * * *"
hours = "NYSE"
[watch.always]
source = { kind = "json", url = "{origin}/always", pointer = "/n" }
strategy = [{ kind = "threshold", above = 10 }]
cron = "*/30 * * * *"
"#;

struct Week {
    harness: Harness,
    zone: TimeZone,
    watchlist: Watchlist,
    from: Timestamp,
    until: Timestamp,
}

impl Week {
    async fn new(first_day: &str, after_the_last: &str) -> Self {
        let harness = Harness::on(Stage::new(TOML).await, Clock::Simulated).await;
        let watchlist = Watchlist::load(&harness.stage.config()).unwrap();
        let zone = TimeZone::get("America/New_York").unwrap();
        let midnight = |day: &str| {
            let day: jiff::civil::Date = day.parse().unwrap();
            day.to_zoned(zone.clone()).unwrap().timestamp()
        };
        let (from, until) = (midnight(first_day), midnight(after_the_last));
        Self { harness, zone, watchlist, from, until }
    }

    fn next(&self, watch: &str, after: Timestamp) -> Timestamp {
        self.watchlist.watch(watch).unwrap().timetable.next_after(after).unwrap()
    }

    /// Runs every slot in its order, but for those while nobody lives; each is run a second after it is due,
    /// or when the daemon lives again. The number of each watch changes at every fifth of its slots.
    async fn run(&self, dead: Option<(&str, &str)>) {
        let dead = dead.map(|(from, until)| (moment(from), moment(until)));
        let before = self.from - SignedDuration::from_secs(1);
        let mut due = ["market", "always"].map(|watch| (self.next(watch, before), watch, 0_u32));
        loop {
            due.sort_by_key(|(at, ..)| *at);
            let (at, watch, count) = due[0];
            if at >= self.until {
                break;
            }
            let now = match dead {
                Some((from, until)) if from <= at && at < until => until,
                _ => at,
            } + SignedDuration::from_secs(1);
            let above = (count / 5) % 2 == 1;
            self.harness
                .site()
                .show(&format!("/{watch}"), number(if above { 11 + count } else { count % 5 }));
            self.harness.daemon().slot(watch, at, now).await.unwrap();
            self.harness.daemon().deliver(now).await.unwrap();
            due[0] = (self.next(watch, now), watch, count + 1);
        }
        // The last morning.
        self.harness.daemon().deliver(self.until + SignedDuration::from_hours(8)).await.unwrap();
    }

    async fn coverage(&self, watch: &str) -> Coverage {
        let store = self.harness.daemon().store();
        let id = store.watch(watch).await.unwrap().unwrap().id;
        let until = self.until - SignedDuration::from_secs(1);
        let stretches = store.slots(id, self.from, until, Duration::from_secs(60)).await.unwrap();
        Coverage::of(&stretches)
    }

    /// Every alert was told once, none of them in the quiet hours; answers how many were told in a brief.
    async fn everything_is_told(&self) -> usize {
        let alerts = self.harness.stage.rows::<(String,)>("select id from alert").await;
        let mut told = HashSet::new();
        let mut in_briefs = 0;
        for post in self.harness.site().messages() {
            let ids: Vec<String> =
                post.alerts().iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
            if post.title().contains("quiet") {
                in_briefs += ids.len();
            }
            for id in ids {
                assert!(told.insert(id), "told twice: {}", post.title());
            }
        }
        assert_eq!(told, alerts.into_iter().map(|(id,)| id).collect(), "every alert is in a message");
        let quiet =
            |time: Time| time >= jiff::civil::time(22, 0, 0, 0) || time < jiff::civil::time(7, 0, 0, 0);
        let sent = "select delivered_at from delivery where carried_by is null";
        for (at,) in self.harness.stage.rows::<(i64,)>(sent).await {
            let at = Timestamp::from_millisecond(at).unwrap().to_zoned(self.zone.clone());
            assert!(!quiet(at.time()), "sent at {at}");
        }
        in_briefs
    }
}

fn counts(coverage: &Coverage) -> (u64, u64, u64) {
    (coverage.slots, coverage.skipped, coverage.ok + coverage.late)
}

#[tokio::test]
async fn a_week_in_which_the_clocks_go_forward_and_a_night_without_a_daemon() {
    let week = Week::new("2026-03-06", "2026-03-13").await;
    // From Saturday 22:00 to Sunday 06:00, which are seven hours: 22:00 itself is made up for, fourteen minus
    // one are not.
    week.run(Some(("2026-03-08T03:00:00Z", "2026-03-08T10:00:00Z"))).await;
    assert_eq!(counts(&week.coverage("always").await), (7 * 48 - 2, 14, 7 * 48 - 2 - 14));
    assert_eq!(counts(&week.coverage("market").await), (5 * 14, 0, 5 * 14));
    assert!(week.everything_is_told().await > 20);
}

#[tokio::test]
async fn a_week_in_which_the_clocks_go_back() {
    let week = Week::new("2026-10-30", "2026-11-06").await;
    week.run(None).await;
    assert_eq!(counts(&week.coverage("always").await), (7 * 48 + 2, 0, 7 * 48 + 2));
    assert_eq!(counts(&week.coverage("market").await), (5 * 14, 0, 5 * 14));
    assert!(week.everything_is_told().await > 20);
}

#[tokio::test]
async fn a_week_with_a_holiday_and_a_half_day() {
    let week = Week::new("2026-11-23", "2026-11-30").await;
    week.run(None).await;
    // Thanksgiving on Thursday; on Friday New York closes at one.
    assert_eq!(counts(&week.coverage("market").await), (3 * 14 + 8, 0, 3 * 14 + 8));
    assert_eq!(counts(&week.coverage("always").await), (7 * 48, 0, 7 * 48));
    assert!(week.everything_is_told().await > 20);
}
