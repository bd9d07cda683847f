//! The dated values of one column of a dataset on an open data portal.
//! <https://dev.socrata.com/docs/endpoints>

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::soda;
use crate::http::{Reply, Request};
use crate::model::{ReadingKind, Secret};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// The dataset is given by its `url`, or by the portal's `base_url` and the `dataset`'s id; one of these it must be.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Keys")]
pub(super) struct Socrata {
    dataset: Url,
    date: String,
    value: String,
    limit: NonZeroUsize,
    unit: String,
    app_token: Secret,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// The dataset's address, `https://PORTAL/resource/ID.json`.
    url: Option<Url>,
    /// The portal, where the dataset is given by its id.
    base_url: Option<Url>,
    /// The dataset's id, such as `nqur-w4p7`, together with `base_url`.
    dataset: Option<String>,
    /// The column that holds the date.
    #[serde(default = "date")]
    date: String,
    /// The column that holds the number.
    value: String,
    /// How many of the newest rows are read.
    #[serde(default = "ten")]
    limit: NonZeroUsize,
    /// The unit of the number, for messages and charts: `USD per gallon`.
    #[serde(default)]
    unit: String,
    /// Your key of the portal; it answers without one, but less willingly.
    #[serde(default)]
    app_token: Secret,
}

fn date() -> String {
    "date".into()
}
fn ten() -> NonZeroUsize {
    NonZeroUsize::new(10).expect("ten is not zero")
}

impl TryFrom<Keys> for Socrata {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        let dataset = match (keys.url, keys.base_url, keys.dataset) {
            (Some(url), _, _) => url,
            (None, Some(base), Some(id)) => soda::dataset(&base, &id),
            _ => return Err("either `url`, or `base_url` with `dataset`, is needed"),
        };
        let Keys { date, value, limit, unit, app_token, .. } = keys;
        Ok(Self { dataset, date, value, limit, unit, app_token })
    }
}

impl Plugin for Socrata {
    const KIND: &'static str = "socrata";
    const ABOUT: &'static str = "dated numbers from a dataset of an open data portal (Socrata)";
    const EXAMPLE: &'static str = "url = \"https://data.ny.gov/resource/nqur-w4p7.json\"\n\
                                   date = \"date\"\nvalue = \"albany_average_gal\"\nunit = \"USD per gallon\"";
}

impl Source for Socrata {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Value
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        let request = soda::newest(&self.dataset, &self.date, self.limit.get(), &self.app_token);
        vec![request.about(&*self.value)]
    }

    fn read(&self, _: &Request, reply: &Reply, _: &Needs) -> Result<Seen, FetchError> {
        let rows = soda::rows(reply)?;
        let values = soda::values(&rows, &self.date, &self.value, |number, day| {
            soda::value(&self.value, day, self.dataset.as_str(), number, &self.unit)
        })?;
        Ok(Seen::some(values))
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"price_drop\", baseline = \"previous\" }]"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reading;
    use crate::testing::{at, plugin, read};

    fn source() -> Socrata {
        plugin("base_url = 'https://data.example/portal'\ndataset = 'abcd-1234'\nvalue = 'price'\nlimit = 3")
    }

    fn read_values(body: &str) -> Result<Vec<(String, f64)>, String> {
        let seen = read(&source(), 200, body, "2026-11-20T12:00:00Z").map_err(|error| error.to_string())?;
        let value = |seen: crate::model::Observation| match seen.reading {
            Reading::Value { value, .. } => (seen.observed_at.to_string(), value),
            other => panic!("{other:?}"),
        };
        Ok(seen.observations.into_iter().map(value).collect())
    }

    #[test]
    fn the_newest_rows_are_asked_for() {
        let needs = Needs { now: at("2026-11-20T12:00:00Z"), bars: 0 };
        assert_eq!(
            source().requests(&needs)[0].url.as_str(),
            "https://data.example/portal/resource/abcd-1234.json?$order=date%20DESC&$limit=3"
        );
        let keyed: Socrata = plugin("url = 'https://a.example/x.json'\nvalue = 'v'\napp_token = 'hush'");
        assert_eq!(keyed.requests(&needs)[0].headers, [("x-app-token".to_owned(), "hush".to_owned())]);
        for wrong in ["value = 'v'", "value = 'v'\ndataset = 'x'", "url = 'https://a.example/'"] {
            assert!(toml::from_str::<Socrata>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_in_any_order_become_values_oldest_first() {
        let body = r#"[{"date":"2026-11-09T00:00:00.000","price":"3.10"},
            {"date":"2026-11-16T00:00:00.000","price":"3.05","other":"1"},
            {"date":"2026-11-02T00:00:00.000","price":3.2},
            {"date":"2026-11-16","price":3.04},
            {"date":"2026-10-26T00:00:00.000"}]"#;
        // Of two rows with one date the last counts.
        let values = [("2026-11-02", 3.2), ("2026-11-09", 3.1), ("2026-11-16", 3.04)];
        let values: Vec<_> = values.map(|(day, v)| (format!("{day}T00:00:00Z"), v)).into();
        assert_eq!(read_values(body), Ok(values));
        assert_eq!(read_values("[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_answer_is_explained() {
        for (status, body, said) in [
            (202, "", "still working"),
            (
                400,
                r#"{"code":"query.compiler.malformed","error":true,"message":"No such column: dat"}"#,
                "the portal refuses: No such column: dat",
            ),
            (200, r#"[{"date":"2026-11-09","prise":"1"}]"#, "did you mean `prise`?"),
            (200, r#"[{"day":"2026-11-09","price":"1"}]"#, "no row has `date`"),
            (200, r#"[{"date":"soon","price":"1"}]"#, "no date"),
            (200, "<html>", "HTML page"),
            (200, "", "empty"),
            (500, "oops", "HTTP 500"),
        ] {
            let error = read(&source(), status, body, "2026-11-20T12:00:00Z").expect_err(said);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
