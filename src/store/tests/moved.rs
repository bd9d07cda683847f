//! How numbers moved: what stood counts for as long as it stood, and nothing counts that was not there.

use super::super::*;
use super::{Stage, minutes, run};
use crate::model::{Availability, Candle, Interval, Listing, Observation, Reading};

fn item(subject: &str, price: Option<f64>, at: i64) -> SeenSubject {
    let reading = Reading::Listing(Listing {
        sku: subject.into(),
        name: subject.into(),
        price,
        price_currency: None,
        availability: Availability::InStock,
    });
    let observed_at = minutes(at);
    SeenSubject {
        observation: Observation {
            subject: subject.into(),
            observed_at,
            url: None,
            reading,
            evidence: vec![],
        },
        request: 1,
        hash: price.map_or(1, f64::to_bits),
        dated: false,
        newest: true,
    }
}

impl Stage {
    async fn sees(&self, watch_id: i64, at: i64, seen: Vec<SeenSubject>, gone: &[&str]) {
        let gone = gone.iter().map(|subject| (*subject).to_owned()).collect();
        let found = Found { seen, gone, ..Found::default() };
        self.store.commit_run(run(watch_id, minutes(at), Some(found))).await.unwrap();
    }

    async fn reads_bars(&self, watch_id: i64, subject: &str, minutes_each: u32, closes: &[f64]) {
        let interval = Interval::from_minutes(minutes_each).unwrap();
        let bar = |(nth, close): (i64, f64)| {
            let open_time = minutes(nth * i64::from(minutes_each));
            let candle = Candle { open_time, open: close, high: close, low: close, close, volume: 1.0 };
            (subject.to_owned(), interval, candle)
        };
        let reading = Reading::Candles { interval, candles: vec![] };
        let observation = Observation { reading, ..item(subject, None, 0).observation };
        let found = Found {
            seen: vec![SeenSubject { observation, ..item(subject, None, 0) }],
            candles: (1..).zip(closes.iter().copied()).map(bar).collect(),
            ..Found::default()
        };
        self.store.commit_run(run(watch_id, minutes(0), Some(found))).await.unwrap();
    }

    /// From the first minute to the sixtieth.
    async fn moved(&self, watch_id: i64) -> Vec<Moved> {
        self.store.moved(&[watch_id], minutes(0), minutes(60)).await.unwrap()
    }

    async fn points(&self, watch_id: i64, subject: &str) -> Vec<(i64, f64)> {
        let points = self.store.points(watch_id, subject, minutes(0), minutes(60)).await.unwrap();
        let minute = |at: Timestamp| at.duration_since(minutes(0)).as_mins();
        points.into_iter().map(|point| (minute(point.at), point.number)).collect()
    }
}

#[tokio::test]
async fn a_price_counts_for_as_long_as_it_stood_within_the_time() {
    let (stage, id) = Stage::with_watch().await;
    stage.sees(id, -600, vec![item("shop", Some(10.0), -600)], &[]).await;
    stage.sees(id, 45, vec![item("shop", Some(50.0), 45)], &[]).await;
    let moved = stage.moved(id).await.remove(0);
    assert_eq!((moved.readings, moved.first, moved.last), (2, 10.0, 50.0));
    assert_eq!((moved.mean, moved.least, moved.greatest), (20.0, 10.0, 50.0));
    assert!((moved.deviation - 300_f64.sqrt()).abs() < 1e-9, "{moved:?}");
    assert_eq!(stage.points(id, "shop").await, [(-600, 10.0), (45, 50.0)]);
}

#[tokio::test]
async fn a_price_ends_when_its_item_goes_or_has_none() {
    let (stage, id) = Stage::with_watch().await;
    let both = |price| vec![item("gone", Some(price), 0), item("priceless", Some(price), 0)];
    stage.sees(id, 0, both(10.0), &[]).await;
    stage.sees(id, 15, vec![item("priceless", None, 15)], &["gone"]).await;
    stage.sees(id, 45, vec![item("gone", Some(30.0), 45), item("priceless", Some(30.0), 45)], &[]).await;
    let moved = stage.moved(id).await;
    assert_eq!(moved.len(), 2);
    for moved in moved {
        assert_eq!((moved.readings, moved.first, moved.last, moved.mean), (2, 10.0, 30.0, 20.0), "{moved:?}");
        assert_eq!((moved.place, moved.among), (1, 2), "equals share a place");
        assert_eq!(stage.points(id, &moved.subject).await, [(0, 10.0), (45, 30.0)]);
    }
}

#[tokio::test]
async fn what_was_gone_before_does_not_come_back_with_an_older_price() {
    let (stage, id) = Stage::with_watch().await;
    stage.sees(id, -90, vec![item("card", Some(500.0), -90), item("other", Some(1.0), -90)], &[]).await;
    stage.sees(id, -60, vec![item("card", Some(600.0), -60)], &[]).await;
    stage.sees(id, -30, vec![], &["card"]).await;
    let moved = stage.moved(id).await;
    assert_eq!(moved.iter().map(|moved| moved.subject.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(stage.points(id, "card").await, []);
}

#[tokio::test]
async fn what_had_a_number_and_went_is_still_told() {
    let (stage, id) = Stage::with_watch().await;
    stage.sees(id, -30, vec![item("card", Some(500.0), -30)], &[]).await;
    stage.sees(id, 30, vec![item("card", None, 30)], &[]).await;
    let moved = stage.moved(id).await.remove(0);
    assert_eq!((moved.last, moved.mean, moved.readings), (500.0, 500.0, 1));
}

#[tokio::test]
async fn what_never_moved_shares_its_place_however_often_it_was_read() {
    let (stage, id) = Stage::with_watch().await;
    stage.sees(id, 1, vec![item("a", Some(699.99), 1), item("b", Some(0.1), 1)], &[]).await;
    for minute in [4, 11, 18] {
        stage.sees(id, minute, vec![item("b", Some(0.1), minute)], &[]).await;
    }
    let told: Vec<_> = stage
        .moved(id)
        .await
        .into_iter()
        .map(|moved| (moved.readings, moved.deviation, moved.place))
        .collect();
    assert_eq!(told, [(1, 0.0, 1), (4, 0.0, 1)]);
}

#[tokio::test]
async fn of_deviations_of_100_200_and_300_the_largest_is_the_first_of_three() {
    let (stage, id) = Stage::with_watch().await;
    for (subject, by) in [("a", 100.0), ("b", 200.0), ("c", 300.0)] {
        stage.reads_bars(id, subject, 10, &[1_000.0 - by, 1_000.0 + by]).await;
    }
    let told: Vec<_> = stage
        .moved(id)
        .await
        .into_iter()
        .map(|moved| (moved.subject, moved.deviation, moved.place, moved.among))
        .collect();
    let expected = [("c", 300.0, 1, 3), ("b", 200.0, 2, 3), ("a", 100.0, 3, 3)];
    assert_eq!(told, expected.map(|(name, by, place, among)| (name.to_owned(), by, place, among)));
}

#[tokio::test]
async fn bars_of_an_interval_that_is_no_longer_read_are_left_out() {
    let (stage, id) = Stage::with_watch().await;
    stage.reads_bars(id, "AAPL", 5, &[900.0; 8]).await;
    stage.reads_bars(id, "AAPL", 10, &[10.0, 20.0]).await;
    let moved = stage.moved(id).await.remove(0);
    assert_eq!((moved.readings, moved.mean), (2, 15.0));
    assert_eq!(stage.points(id, "AAPL").await, [(10, 10.0), (20, 20.0)]);
}
