//! Turns at hosts, on a clock that only the tests move.

use super::*;
use crate::http::{Reply, Request};
use crate::testing::at;

const NOW: &str = "2026-11-21T10:00:00Z";

fn gates(rules: HostRules) -> Arc<Gates> {
    Arc::new(Gates::new(&Arc::new(Settings { per_host: rules, ..Settings::default() })))
}

fn every(seconds: u64) -> HostRules {
    HostRules { max_concurrent: 9, min_interval: Duration::from_secs(seconds), ..HostRules::default() }
}

fn asker(watch_id: i64) -> Asker {
    Asker { watch_id, now: at(NOW) }
}

async fn turn_at(gates: &Gates, host: &str, asker: Asker) -> Result<Turn, HttpError> {
    let mut waited = Duration::ZERO;
    gates.turn(host, asker, &mut waited).await
}

fn later(seconds: i64) -> Asker {
    Asker { watch_id: 1, now: at(NOW) + jiff::SignedDuration::from_secs(seconds) }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Result<Fetched, HttpError> {
    let mut reply = Reply::captured(status, "https://h.example/".parse().unwrap(), "<p>hello");
    reply.headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Ok(Fetched::New(reply, crate::http::Mark::default()))
}

#[tokio::test(start_paused = true)]
async fn two_requests_to_one_host_start_its_interval_apart() {
    let gates = gates(every(10));
    let begun = Instant::now();
    for _ in 0..3 {
        drop(turn_at(&gates, "slow.example", asker(1)).await.unwrap());
        drop(turn_at(&gates, "other.example", asker(1)).await.unwrap());
    }
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_watches_are_asked_in_turn_and_never_two_within_a_second() {
    let gates = gates(every(1));
    let begun = Instant::now();
    drop(turn_at(&gates, "h.example", asker(-1)).await.unwrap());
    let (told, mut starts) = tokio::sync::mpsc::unbounded_channel();
    for watch in 0..200 {
        let (gates, told) = (Arc::clone(&gates), told.clone());
        tokio::spawn(async move {
            for _ in 0..3 {
                let mut waited = Duration::ZERO;
                let _turn = gates.turn("h.example", asker(watch), &mut waited).await.unwrap();
                told.send((watch, begun.elapsed())).unwrap();
                assert!(waited <= Duration::from_secs(200));
            }
        });
    }
    drop(told);
    let mut seen = Vec::new();
    while let Some(start) = starts.recv().await {
        seen.push(start);
    }
    assert_eq!(seen.len(), 600);
    assert!(seen.windows(2).all(|two| two[1].1 - two[0].1 >= Duration::from_secs(1)));
    for round in seen.chunks(200) {
        let watches: std::collections::HashSet<i64> = round.iter().map(|(watch, _)| *watch).collect();
        assert_eq!(watches.len(), 200, "each of them once a round");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_lets_several_start_after_a_pause_and_keeps_the_pace_on_average() {
    let gates = gates(HostRules { burst: 3, ..every(10) });
    let begun = Instant::now();
    let mut starts = Vec::new();
    for _ in 0..5 {
        drop(turn_at(&gates, "h.example", asker(1)).await.unwrap());
        starts.push(begun.elapsed().as_secs());
    }
    assert_eq!(starts, [0, 0, 0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn jitter_only_ever_adds() {
    let gates = gates(HostRules { jitter: Duration::from_secs(4), ..every(10) });
    let mut last = Instant::now();
    drop(turn_at(&gates, "h.example", asker(1)).await.unwrap());
    for _ in 0..50 {
        drop(turn_at(&gates, "h.example", asker(1)).await.unwrap());
        let apart = last.elapsed();
        assert!((10..=14).contains(&apart.as_secs()), "{apart:?}");
        last = Instant::now();
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_a_host_bears_nor_than_all_hosts_together() {
    let rules = HostRules { max_concurrent: 2, ..every(0) };
    let settings = Settings { per_host: rules, max_concurrent: 3, ..Settings::default() };
    let gates = Gates::new(&Arc::new(settings));
    let first = turn_at(&gates, "a.example", asker(1)).await.unwrap();
    let _second = turn_at(&gates, "a.example", asker(2)).await.unwrap();
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, turn_at(&gates, "a.example", asker(3))).await.is_err());
    let _other = turn_at(&gates, "b.example", asker(3)).await.unwrap();
    assert!(tokio::time::timeout(second, turn_at(&gates, "c.example", asker(4))).await.is_err());
    drop(first);
    assert!(turn_at(&gates, "a.example", asker(3)).await.is_ok(), "who gave up waiting holds nothing");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refused_is_not_asked_and_a_short_rest_is_waited_for() {
    let gates = gates(every(0));
    let refused = |headers| answer(429, headers);
    let turn = turn_at(&gates, "h.example:8080", asker(1)).await.unwrap();
    assert!(matches!(turn.judge(refused(&[("retry-after", "60")])), Err(HttpError::Walled(_))));
    let Err(error) = turn_at(&gates, "h.example:8080", later(20)).await else { panic!("it was asked") };
    let HttpError::Resting { host, until, refused: true, .. } = &error else { panic!("{error}") };
    assert_eq!((host.as_str(), *until), ("h.example:8080", later(60).now));
    assert!(error.to_string().contains("429"), "{error}");
    assert!(turn_at(&gates, "h.example", later(20)).await.is_ok(), "another port is another service");

    let begun = Instant::now();
    let mut waited = Duration::ZERO;
    assert!(gates.turn("h.example:8080", later(45), &mut waited).await.is_ok());
    assert_eq!(begun.elapsed().as_secs(), 15, "a rest no longer than a request may take is waited for");
    assert_eq!(waited.as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn after_a_rest_one_request_at_a_time_tries_the_host_until_it_is_well() {
    let gates = gates(every(0));
    for status in [403, 503] {
        let turn = turn_at(&gates, "h.example", asker(1)).await.unwrap();
        assert_eq!(turn.judge(answer(status, &[])).is_ok(), status == 503, "of 503 its source may know more");
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    let probe = turn_at(&gates, "h.example", later(60)).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(5), turn_at(&gates, "h.example", later(60)));
    assert!(waiting.await.is_err(), "a second one waits for the first");
    probe.well();
    turn_at(&gates, "h.example", later(66)).await.unwrap().well();
    let _one = turn_at(&gates, "h.example", later(66)).await.unwrap();
    assert!(turn_at(&gates, "h.example", later(66)).await.is_ok(), "well again");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_an_answer_all_the_same() {
    let gates = gates(every(0));
    let judge = async |error| {
        let turn = turn_at(&gates, "h.example", asker(1)).await.expect("not left alone");
        assert!(turn.judge(Err(error)).is_err());
    };
    for answer in [HttpError::TooLarge(1), HttpError::Unfit("a bomb".into())] {
        for _ in 0..4 {
            judge(HttpError::Timeout(Duration::from_secs(20))).await;
        }
        judge(answer).await;
    }
    assert_eq!(gates.standings(), []);
}

#[tokio::test(start_paused = true)]
async fn everyone_in_line_hears_that_the_host_is_left_alone() {
    let gates = gates(HostRules { max_concurrent: 1, ..every(0) });
    let turn = turn_at(&gates, "h.example", asker(1)).await.unwrap();
    let line: Vec<_> = (2..50)
        .map(|watch| {
            let gates = Arc::clone(&gates);
            tokio::spawn(async move { turn_at(&gates, "h.example", asker(watch)).await.is_err() })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(turn.judge(answer(503, &[("retry-after", "3600")])));
    for waiting in line {
        assert!(waiting.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_always_refused_does_not_keep_a_good_one_of_the_same_host_closed() {
    let gates = gates(every(0));
    let (mut good, mut seconds) = (0, 0);
    // Two bad pages come first whenever the host may be asked again.
    while seconds < 3_600 {
        for bad in [1, 2] {
            let asker = Asker { watch_id: bad, ..later(seconds) };
            if let Ok(turn) = turn_at(&gates, "h.example", asker).await {
                assert!(turn.judge(answer(403, &[])).is_err());
            }
        }
        let asker = Asker { watch_id: 3, ..later(seconds + 1) };
        if let Ok(turn) = turn_at(&gates, "h.example", asker).await {
            assert!(turn.judge(answer(200, &[])).is_ok());
            good += 1;
        }
        seconds += 60;
    }
    assert!(good >= 20, "{good}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_hosts_can_be_taken_along() {
    let gates_before = gates(every(0));
    gates_before.refused("h.example", asker(1), Some(Duration::from_secs(600)), "banned");
    let told = gates_before.take_changed("h.example").unwrap();
    assert_eq!(gates_before.take_changed("h.example"), None);
    assert_eq!(gates_before.standings(), std::slice::from_ref(&told));
    let after = gates(every(0));
    after.restore(vec![told]);
    assert!(turn_at(&after, "h.example", later(100)).await.is_err());
    assert!(turn_at(&after, "h.example", later(601)).await.is_ok());

    let slow = self::gates(every(60));
    drop(turn_at(&slow, "h.example", asker(1)).await.unwrap());
    let other = self::gates(every(60));
    other.take_over(&slow, at(NOW));
    let begun = Instant::now();
    drop(turn_at(&other, "h.example", asker(1)).await.unwrap());
    assert_eq!(begun.elapsed().as_secs(), 60, "the pace is kept over a change of the settings");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_nobody_asks_any_more_are_forgotten() {
    let gates = gates(every(0));
    gates.refused("bad.example", asker(1), None, "banned");
    for host in 0..3_000 {
        let url = format!("http://h{host}.example/").parse().unwrap();
        drop(turn_at(&gates, Request::get(url).authority(), asker(1)).await.unwrap());
    }
    assert!(gates.gates.lock().unwrap().len() <= MANY_HOSTS + 1);
    assert_eq!(gates.standings().len(), 1);
}
