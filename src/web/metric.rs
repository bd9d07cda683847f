//! The numbers of a watch over a span of time: how each moved, and its rank among its fellows.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::MetricRow;

/// How one number of a watch moved.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Metric {
    /// Whose number it is: a subject of the watch.
    pub subject: String,
    /// How many readings there are of it.
    pub readings: usize,
    /// The last reading.
    pub last: Option<f64>,
    /// The least.
    pub minimum: Option<f64>,
    /// The greatest.
    pub maximum: Option<f64>,
    /// A bar counts once, any other reading for as long as it stood.
    pub average: Option<f64>,
    /// The square root of the mean squared distance from the average, weighed in the same way.
    pub standard_deviation: Option<f64>,
    /// Its place by standard deviation, the largest first; equals share one.
    pub rank: Option<usize>,
    /// Among how many.
    pub ranked: usize,
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Point {
    /// When it was read; for a bar when it opened.
    pub at: Timestamp,
    /// The number.
    pub value: f64,
}

/// How each of these subjects moved, in their order. The readings are by subject, oldest first; the first of
/// each may be older than the span.
#[must_use]
pub(super) fn metrics(
    subjects: Vec<String>,
    readings: &[MetricRow],
    (since, until): (Timestamp, Timestamp),
) -> Vec<Metric> {
    let by_subject: HashMap<&str, &[MetricRow]> = readings
        .chunk_by(|one, next| one.subject == next.subject)
        .filter_map(|rows| Some((rows.first()?.subject.as_str(), rows)))
        .collect();
    let own = |subject: &str| by_subject.get(subject).copied().unwrap_or_default();
    let mut metrics: Vec<Metric> =
        subjects.into_iter().map(|subject| metric(own(&subject), (since, until)).of(subject)).collect();
    let mut largest_first: Vec<f64> = metrics.iter().filter_map(|metric| metric.standard_deviation).collect();
    largest_first.sort_unstable_by(|one, other| other.total_cmp(one));
    for metric in &mut metrics {
        metric.ranked = largest_first.len();
        let larger = |own: f64| largest_first.partition_point(|other| other.total_cmp(&own).is_gt());
        metric.rank = metric.standard_deviation.map(|own| larger(own).saturating_add(1));
    }
    metrics
}

impl Metric {
    fn of(self, subject: String) -> Self {
        Self { subject, ..self }
    }
}

fn metric(readings: &[MetricRow], (since, until): (Timestamp, Timestamp)) -> Metric {
    let ends = readings.iter().skip(1).map(|row| row.at).chain([until]);
    let weighed: Vec<(f64, f64)> = readings
        .iter()
        .zip(ends)
        .map(|(row, end)| {
            let stood = end.duration_since(row.at.max(since)).as_secs_f64();
            (row.value, if row.is_bar { 1.0 } else { stood.max(f64::MIN_POSITIVE) })
        })
        .collect();
    let values = || weighed.iter().map(|(value, _)| *value);
    let all: f64 = weighed.iter().map(|(_, weight)| weight).sum();
    let mean = |of: &dyn Fn(f64) -> f64| {
        let sum: f64 = weighed.iter().map(|(value, weight)| of(*value) * weight).sum();
        Some(sum / all).filter(|mean| mean.is_finite())
    };
    let average = mean(&|value| value);
    let variance = average.and_then(|average| mean(&|value| (value - average).powi(2)));
    Metric {
        subject: String::new(),
        readings: readings.len(),
        last: values().next_back(),
        minimum: values().min_by(f64::total_cmp),
        maximum: values().max_by(f64::total_cmp),
        average,
        standard_deviation: variance.map(f64::sqrt),
        rank: None,
        ranked: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    const TEN: &str = "2026-11-21T10:00:00Z";

    fn row(subject: &str, minute: i64, value: f64, is_bar: bool) -> MetricRow {
        let at = at(TEN) + jiff::SignedDuration::from_mins(minute);
        MetricRow { subject: subject.into(), at, value, is_bar }
    }

    fn span(minutes: i64) -> (Timestamp, Timestamp) {
        (at(TEN), at(TEN) + jiff::SignedDuration::from_mins(minutes))
    }

    #[test]
    fn of_deviations_of_100_200_and_300_the_largest_is_the_first_of_three() {
        let swing =
            |name: &str, by: f64| [row(name, 0, 1_000.0 - by, true), row(name, 1, 1_000.0 + by, true)];
        let readings = [swing("a", 100.0), swing("b", 200.0), swing("c", 300.0)].concat();
        let names = ["a", "b", "c", "quiet"].map(str::to_owned).to_vec();
        let told: Vec<_> = metrics(names, &readings, span(2))
            .into_iter()
            .map(|metric| (metric.standard_deviation, metric.rank, metric.ranked))
            .collect();
        let expected = [
            (Some(100.0), Some(3), 3),
            (Some(200.0), Some(2), 3),
            (Some(300.0), Some(1), 3),
            (None, None, 3),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_price_counts_for_as_long_as_it_stood_within_the_span() {
        let readings = [row("shop", -600, 10.0, false), row("shop", 45, 50.0, false)];
        let metric = metrics(vec!["shop".into()], &readings, span(60)).remove(0);
        assert_eq!((metric.average, metric.minimum, metric.maximum), (Some(20.0), Some(10.0), Some(50.0)));
        assert_eq!((metric.last, metric.readings, metric.rank), (Some(50.0), 2, Some(1)));
        let deviation = metric.standard_deviation.unwrap();
        assert!((deviation - 300_f64.sqrt()).abs() < 1e-9, "{deviation}");
    }

    #[test]
    fn equals_share_their_rank() {
        let readings = [row("a", 0, 1.0, true), row("b", 0, 9.0, true)];
        let told = metrics(vec!["a".into(), "b".into()], &readings, span(1));
        assert!(told.iter().all(|metric| metric.rank == Some(1) && metric.ranked == 2));
    }
}
