//! The numbers in what was seen, subject by subject.

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Candle, Observation, Past, Reading, ReadingKind};
use crate::plugin::View;

/// Every kind of reading that holds a number.
pub(super) const NUMBERS: &[ReadingKind] =
    &[ReadingKind::Candles, ReadingKind::Quote, ReadingKind::Value, ReadingKind::Listing];

/// Which number of a reading is judged. A plain value has only itself, whatever is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// The last price: of a quote, a listing, or the close of the last bar.
    #[default]
    Price,
    /// The traded amount of a quote or of the last bar.
    Volume,
    /// The number of a plain value; otherwise the price.
    Value,
}

impl Field {
    /// The number, where the reading has one that can be calculated with.
    pub(super) fn of(self, reading: &Reading) -> Option<f64> {
        let number = match reading {
            Reading::Candles { candles, .. } => candles.last().map(|candle| self.of_candle(candle)),
            Reading::Quote(quote) if self == Self::Volume => quote.volume,
            Reading::Quote(quote) => Some(quote.price),
            Reading::Listing(_) if self == Self::Volume => None,
            Reading::Listing(listing) => listing.price,
            Reading::Value { value, .. } => Some(*value),
            Reading::Text { .. } => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// The number of one bar.
    pub(super) const fn of_candle(self, candle: &Candle) -> f64 {
        match self {
            Self::Volume => candle.volume,
            Self::Price | Self::Value => candle.close,
        }
    }

    /// What the number is called in a sentence.
    pub(super) const fn word(self, reading: &Reading) -> &'static str {
        match (self, reading) {
            (Self::Price, Reading::Value { .. }) | (Self::Value, _) => "value",
            (Self::Price, _) => "price",
            (Self::Volume, _) => "volume",
        }
    }
}

/// What was seen of one subject, now and before.
pub(super) struct History<'a> {
    /// This run's observation; of a dated series the newest.
    pub(super) newest: &'a Observation,
    /// The other dates of the series that this run saw.
    pub(super) others: Vec<&'a Observation>,
    /// Earlier observations, oldest first.
    pub(super) earlier: Vec<&'a Past>,
}

impl<'a> History<'a> {
    /// Every subject of this run once, in the order of the run. One pass: a view may hold ten thousand
    /// subjects with an hour of minutes each.
    pub(super) fn all(view: &View<'a>) -> Vec<Self> {
        let mut histories: Vec<Self> = Vec::with_capacity(view.current.len());
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(view.current.len());
        for seen in view.current {
            let place = *places.entry(&seen.subject).or_insert(histories.len());
            match histories.get_mut(place) {
                None => histories.push(Self { newest: seen, others: vec![], earlier: vec![] }),
                Some(history) if seen.observed_at > history.newest.observed_at => {
                    history.others.push(std::mem::replace(&mut history.newest, seen));
                }
                Some(history) => history.others.push(seen),
            }
        }
        fn subject(past: &Past) -> &str {
            &past.observation.subject
        }
        for of_one in view.earlier.chunk_by(|a, b| subject(a) == subject(b)) {
            let place = of_one.first().and_then(|past| places.get(subject(past)));
            if let Some(history) = place.and_then(|place| histories.get_mut(*place)) {
                history.earlier.extend(of_one);
            }
        }
        histories
    }

    /// What was seen of one subject, where this run saw it.
    pub(super) fn of(view: &View<'a>, subject: &str) -> Option<Self> {
        Self::all(view).into_iter().find(|history| history.newest.subject == subject)
    }

    /// Whether its values carry dates of their own: each counts once, however often it was seen.
    pub(super) fn is_dated(&self, now: Timestamp) -> bool {
        matches!(self.newest.reading, Reading::Value { .. }) && self.newest.observed_at != now
    }
}
