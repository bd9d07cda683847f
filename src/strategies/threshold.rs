//! Fires while a number is above or below a limit.

use schemars::JsonSchema;
use serde::Deserialize;

use super::reading::{Field, History, NUMBERS};
use super::{checked, words};
use crate::model::{Place, Plot, PolicyDefaults, ReadingKind, Reason, Signal, Track, plain};
use crate::plugin::{EvaluateError, News, Plugin, Story, Strategy, View, Words};

/// Fires while the number is above the limit `above`, or below the limit `below`; one of them must be there, both may.
/// Ends when it is back from the limit by at least the `hysteresis`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, remote = "Self")]
#[schemars(extend("anyOf" = [{ "required": ["above"] }, { "required": ["below"] }]))]
pub(crate) struct Threshold {
    /// Fires above this.
    above: Option<f64>,
    /// Fires below this.
    below: Option<f64>,
    /// How far the number must come back past the limit before it is over, in its own unit.
    #[schemars(range(min = 0))]
    hysteresis: f64,
    /// Which number is judged.
    field: Field,
}

checked!(Threshold, |threshold| {
    let Threshold { above, below, hysteresis, .. } = threshold;
    if above.is_none() && below.is_none() {
        return Err("`above` or `below` is missing".into());
    }
    if [above, below].into_iter().flatten().any(|limit| !limit.is_finite()) {
        return Err("`above` and `below` must be numbers".into());
    }
    if above.zip(*below).is_some_and(|(above, below)| above < below) {
        return Err("`below` must not be more than `above`".into());
    }
    if !(hysteresis.is_finite() && *hysteresis >= 0.0) {
        return Err("`hysteresis` must be 0 or more".into());
    }
    Ok(())
});

impl Threshold {
    /// The state and the limit that decided; a state that was settled on lasts until the number is back
    /// by the hysteresis.
    fn state(&self, number: f64, before: Option<&str>) -> (&'static str, Option<f64>) {
        // Without the hysteresis where nothing was settled on.
        let sticky = |state| if before == Some(state) { self.hysteresis } else { 0.0 };
        let is_above = |by: f64| self.above.is_some_and(|limit| number > limit - by);
        let is_below = |by: f64| self.below.is_some_and(|limit| number < limit + by);
        if is_above(0.0) {
            ("above", self.above)
        } else if is_below(0.0) {
            ("below", self.below)
        } else if is_above(sticky("above")) {
            ("above", self.above)
        } else if is_below(sticky("below")) {
            ("below", self.below)
        } else {
            ("normal", None)
        }
    }
}

impl Plugin for Threshold {
    const KIND: &'static str = "threshold";
    const ABOUT: &'static str = "a price, a volume or a value is above or below a limit";
    const EXAMPLE: &'static str = "above = 200\nbelow = 150\nhysteresis = 5";
    const POLICY: PolicyDefaults = PolicyDefaults::EPISODE;
}

impl Strategy for Threshold {
    fn reads(&self) -> &'static [ReadingKind] {
        NUMBERS
    }

    fn evaluate(&self, view: &View<'_>) -> Result<Vec<Signal>, EvaluateError> {
        let signal = |history: History<'_>| {
            let seen = history.newest;
            let number = self.field.of(&seen.reading)?;
            let before = view.settled(&seen.subject);
            let (state, limit) = self.state(number, before);
            let name = match self.field {
                Field::Volume => format!("volume of {}", words::name(view.source, seen)),
                Field::Price | Field::Value => words::name(view.source, seen),
            };
            let shown = plain(number);
            let limit_before = match before {
                Some("above") => self.above,
                Some("below") => self.below,
                _ => None,
            };
            let summary = match (limit, limit_before) {
                (Some(limit), _)
                    if state == "above" && number > limit || state == "below" && number < limit =>
                {
                    format!("{name} is {state} {}: {shown}", plain(limit))
                }
                // Held by the hysteresis.
                (Some(limit), _) => format!("{name} is not yet back from {state} {}: {shown}", plain(limit)),
                (None, Some(limit)) => {
                    format!("{name} is no longer {} {}: {shown}", before.unwrap_or_default(), plain(limit))
                }
                (None, None) => format!("{name} is at {shown}"),
            };
            let signal = Signal::level(&seen.subject, state, limit.is_some());
            Some(signal.summary(summary).value(number).url(seen.url.clone()))
        };
        Ok(History::all(view).into_iter().filter_map(signal).collect())
    }

    fn steps(&self, view: &View<'_>, subject: &str) -> Vec<String> {
        let Some(History { newest, .. }) = History::of(view, subject) else { return words::unseen() };
        let number = self.field.of(&newest.reading);
        let word = self.field.word(&newest.reading);
        let mut steps = vec![words::number_seen(newest, word, number)];
        let Some(number) = number else { return steps };
        let before = view.settled(subject);
        let found = self.state(number, None).0;
        let state = self.state(number, before).0;
        let limits = [("above", self.above), ("below", self.below)];
        let limits = limits.iter().filter_map(|(key, limit)| Some(format!("{key} {}", plain((*limit)?))));
        let limits: Vec<String> = limits.collect();
        steps.push(format!("{}: {word} {} → {found}", limits.join(", "), plain(number)));
        let over = match state {
            "above" => self.above.map(|limit| limit - self.hysteresis),
            _ => self.below.map(|limit| limit + self.hysteresis),
        };
        let over = over.map(plain).unwrap_or_default();
        steps.extend(words::held(self.hysteresis, before, (found, state), &over));
        steps
    }

    fn plots(&self, track: Track<'_>) -> Vec<Plot> {
        let plot = match (self.field, track) {
            (Field::Volume, Track::Candles { candles, .. }) => {
                let volume = candles.iter().map(|bar| (bar.open_time, bar.volume));
                let volume = volume.filter(|(_, volume)| volume.is_finite()).collect();
                Plot::new("volume", Place::Panel).curve("volume", volume)
            }
            // The track of a quote is its price.
            (Field::Volume, Track::Values(_)) => return Vec::new(),
            (Field::Price | Field::Value, _) => Plot::new("limits", Place::Over),
        };
        let plot = self.above.into_iter().fold(plot, |plot, limit| plot.limit("above", limit));
        vec![self.below.into_iter().fold(plot, |plot, limit| plot.limit("below", limit))]
    }

    fn tell(&self, story: &Story<'_>) -> Words {
        let sentence = |news: &News<'_>| match news.reason {
            Reason::Reminder => format!("still: {}", news.signal.summary),
            Reason::First | Reason::Changed | Reason::Resolved => news.signal.summary.clone(),
        };
        let line = |news: &News<'_>| {
            let lasted = words::lasted(story, news);
            match (news.reason, story.news) {
                (Reason::Resolved, [_]) => format!("It was so for {lasted}."),
                (Reason::Resolved, _) => format!("{}, after {lasted}", news.signal.summary),
                (_, [_]) => String::new(),
                _ => sentence(news),
            }
        };
        words::told(story, sentence, line)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{known, steps, tell, told};
    use super::*;
    use crate::testing::{candles, evaluate_knowing, plugin, quotes};

    /// State and summary for a price, coming from a state.
    fn judge(keys: &str, price: f64, before: &str) -> (String, String) {
        let threshold: Threshold = plugin(keys);
        let known = HashMap::from([("AAPL".to_owned(), known(before, before != "normal", before))]);
        let current = quotes("AAPL", "2026-11-20T00:00:00Z", &[price]);
        let signal = evaluate_knowing(&threshold, &current, &[], &known).remove(0);
        assert_eq!(signal.firing, signal.state != "normal");
        assert_eq!(signal.fingerprint, signal.state);
        (signal.state, signal.summary)
    }

    #[test]
    fn it_fires_beyond_its_limits_and_clears_with_the_hysteresis() {
        let both = "above = 80\nbelow = 20\nhysteresis = 5";
        for (keys, price, before, state, summary) in [
            ("above = 200", 201.3, "normal", "above", "AAPL is above 200: 201.3"),
            ("above = 200", 200.0, "normal", "normal", "AAPL is at 200"),
            ("above = 200", 199.0, "above", "normal", "AAPL is no longer above 200: 199"),
            ("below = 0.5", 0.000_01, "normal", "below", "AAPL is below 0.5: 0.00001"),
            (both, 78.0, "normal", "normal", "AAPL is at 78"),
            (both, 78.0, "above", "above", "AAPL is not yet back from above 80: 78"),
            (both, 75.0, "above", "normal", "AAPL is no longer above 80: 75"),
            (both, 10.0, "above", "below", "AAPL is below 20: 10"),
            (both, 24.9, "below", "below", "AAPL is not yet back from below 20: 24.9"),
            (both, 25.0, "below", "normal", "AAPL is no longer below 20: 25"),
        ] {
            assert_eq!(judge(keys, price, before), (state.into(), summary.into()), "{keys} {price} {before}");
        }
    }

    #[test]
    fn a_bar_is_judged_by_its_close_or_its_volume_and_nothing_by_what_is_no_number() {
        let bars = [candles("AAPL", &[1.0, 300.0, 210.0])];
        let judge = |keys, current| {
            let signals = evaluate_knowing(&plugin::<Threshold>(keys), current, &[], &HashMap::new());
            signals.into_iter().map(|signal| signal.summary).collect::<Vec<_>>()
        };
        assert_eq!(judge("above = 200", &bars), ["AAPL is above 200: 210"]);
        assert_eq!(judge("above = 0\nfield = \"volume\"", &bars), ["volume of AAPL is above 0: 1"]);
        let nothing = [candles("AAPL", &[]), candles("MSFT", &[f64::NAN])];
        assert_eq!(judge("above = 200", &nothing), Vec::<String>::new());
        let no_volume = quotes("AAPL", "2026-11-20T00:00:00Z", &[1.0]);
        assert_eq!(judge("above = 0\nfield = \"volume\"", &no_volume), Vec::<String>::new());
    }

    #[test]
    fn its_steps_show_the_limits_and_what_the_hysteresis_holds_on_to() {
        let threshold: Threshold = plugin("above = 80\nbelow = 20\nhysteresis = 5");
        for (price, before, last) in [
            (78.0, "above", "hysteresis 5: `above` was settled on before, and lasts until 75 → above"),
            (78.0, "normal", "hysteresis 5: `normal` was settled on before, so that changes nothing"),
        ] {
            let current = quotes("AAPL", "2026-11-20T00:00:00Z", &[price]);
            let steps = steps(&threshold, &current, Some(known(before, before != "normal", before)));
            let looked = "price 78 of 2026-11-20T00:00:00Z";
            assert_eq!(steps, [looked, "above 80, below 20: price 78 → normal", last]);
        }
        assert_eq!(steps(&threshold, &[], None), ["it was not seen, so nothing can be said of it"]);
    }

    #[test]
    fn impossible_limits_are_refused_with_the_reason() {
        for (keys, why) in [
            ("", "missing"),
            ("above = inf", "must be numbers"),
            ("above = 10\nbelow = 20", "must not be more"),
            ("above = 10\nhysteresis = -1", "0 or more"),
            ("over = 10", "unknown field `over`"),
        ] {
            let error = toml::from_str::<Threshold>(keys).unwrap_err().to_string();
            assert!(error.contains(why), "{keys}: {error}");
        }
    }

    #[test]
    fn the_title_is_the_sentence_and_the_end_says_how_long_it_was() {
        let threshold: Threshold = plugin("above = 200");
        let high = Signal::level("AAPL", "above", true).summary("AAPL is above 200: 201.3");
        let over = Signal::level("AAPL", "normal", false).summary("AAPL is no longer above 200: 199");
        for (signal, reason, title, body) in [
            (&high, Reason::First, "AAPL is above 200: 201.3", ""),
            (&high, Reason::Reminder, "still: AAPL is above 200: 201.3", ""),
            (&over, Reason::Resolved, "AAPL is no longer above 200: 199", "It was so for 12 min."),
        ] {
            let words = tell(&threshold, &[told(signal, reason)], &[]);
            assert_eq!((words.title.as_str(), words.body.as_str()), (title, body));
        }
        let five: Vec<_> = (0..5).map(|_| told(&high, Reason::First)).collect();
        let title = tell(&threshold, &five, &[]).title;
        assert!(title.ends_with("AAPL is above 200: 201.3; and 2 more"), "{title}");
    }

    #[test]
    fn its_limits_are_drawn_beside_what_they_judge() {
        let seen = candles("AAPL", &[1.0, 300.0, 210.0]);
        let crate::model::Reading::Candles { interval, candles } = &seen.reading else { panic!("bars") };
        let track = Track::Candles { interval: *interval, candles };
        let limits = |plots: &[Plot]| {
            plots
                .iter()
                .flat_map(|plot| plot.limits.clone())
                .map(|limit| (limit.name, limit.value))
                .collect::<Vec<_>>()
        };
        let plots = plugin::<Threshold>("above = 200\nbelow = 150").plots(track);
        assert_eq!(limits(&plots), [("above".to_owned(), 200.0), ("below".to_owned(), 150.0)]);
        assert_eq!(plots[0].place, Place::Over);
        let volume = plugin::<Threshold>("above = 0\nfield = \"volume\"").plots(track);
        assert_eq!((volume[0].place, volume[0].curves[0].points.len()), (Place::Panel, 3));
    }
}
