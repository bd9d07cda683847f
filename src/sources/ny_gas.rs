//! Weekly gasoline prices in the State of New York, from its open data portal.
//! <https://data.ny.gov/d/nqur-w4p7>

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::names::{self, Names};
use super::soda::{self, Row};
use crate::http::{Reply, Request};
use crate::model::{ReadingKind, Secret, nearest};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// New prices come once a week, on Mondays or a day later; to ask once a day is plenty.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NyGas {
    /// One region or a list of them: `new_york_state`, `albany`, `new_york_city` and others, as the dataset calls them.
    #[schemars(schema_with = "regions")]
    region: Regions,
    /// Where the portal answers; another address is for a stand-in or a mirror.
    #[serde(default = "base_url")]
    base_url: Url,
    /// A download of the dataset, JSON or CSV, instead of its newest rows on the portal.
    url: Option<Url>,
    /// Your key of the portal; it answers without one, but less willingly.
    #[serde(default)]
    app_token: Secret,
}

/// The regions of the dataset, as its columns call them.
const REGIONS: [&str; 17] = [
    "new_york_state",
    "albany",
    "batavia",
    "binghamton",
    "buffalo",
    "dutchess",
    "elmira",
    "glens_falls",
    "ithaca",
    "kingston",
    "nassau",
    "new_york_city",
    "rochester",
    "syracuse",
    "utica",
    "watertown",
    "white_plains",
];

const DATASET: &str = "nqur-w4p7";
const PAGE: &str = "https://data.ny.gov/d/nqur-w4p7";

/// Two months, so that a daemon that slept for some weeks still sees each of them.
const WEEKS: usize = 8;

fn regions(_: &mut SchemaGenerator) -> Schema {
    names::one_or_many(json_schema!({ "type": "string", "enum": REGIONS }))
}

fn base_url() -> Url {
    Url::parse("https://data.ny.gov").expect("the address is written well")
}

#[derive(Deserialize)]
#[serde(try_from = "Names")]
struct Regions(Vec<&'static str>);

impl TryFrom<Names> for Regions {
    type Error = String;

    fn try_from(names: Names) -> Result<Self, String> {
        let known = |name: &str| {
            REGIONS.into_iter().find(|region| *region == name).ok_or_else(|| {
                let hint =
                    nearest(name, REGIONS).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                format!("unknown region `{name}`; known: {}{hint}", REGIONS.join(", "))
            })
        };
        names.iter().map(known).collect::<Result<_, _>>().map(Self)
    }
}

impl Plugin for NyGas {
    const KIND: &'static str = "ny_gas";
    const ABOUT: &'static str = "weekly gasoline prices in New York State, by region";
    const EXAMPLE: &'static str = "region = \"new_york_state\"";
}

impl Source for NyGas {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Value
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        vec![match &self.url {
            Some(url) => Request::get(url.clone()),
            None => soda::newest(&soda::dataset(&self.base_url, DATASET), "date", WEEKS, &self.app_token),
        }]
    }

    fn read(&self, _: &Request, reply: &Reply, _: &Needs) -> Result<Seen, FetchError> {
        let text = reply.text();
        let rows = match csv(&text) {
            Some(rows) if reply.is_success() => rows,
            _ => soda::rows(reply)?,
        };
        let mut seen = Vec::new();
        for region in &self.region.0 {
            let column = format!("{region}_average_gal");
            seen.extend(soda::values(&rows, "date", &column, |price, week| {
                soda::value(region, week, PAGE, price, "USD per gallon")
            })?);
        }
        Ok(Seen::some(seen))
    }

    fn describe(&self, subject: &str) -> String {
        format!("gasoline in {subject}")
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"price_drop\", baseline = \"previous\" }]"
    }
}

/// The rows of a CSV download, its headers named as the portal names the columns: `New York State Average
/// ($/gal)` is `new_york_state_average_gal`. `None` when the first line is no such header. None of the
/// cells holds a comma.
fn csv(text: &str) -> Option<Vec<Row>> {
    let cells = |line: &str| -> Vec<String> {
        line.split(',').map(|cell| cell.trim().trim_matches('"').trim().to_owned()).collect()
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let columns: Vec<String> = cells(lines.next()?).iter().map(|header| column(header)).collect();
    if columns.first()? != "date" {
        return None;
    }
    let row = |line: &str| -> Row {
        let filled = columns.iter().cloned().zip(cells(line)).filter(|(_, cell)| !cell.is_empty());
        filled.map(|(column, cell)| (column, Value::String(cell))).collect()
    };
    Some(lines.map(row).collect())
}

fn column(header: &str) -> String {
    let words = header.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Observation, Reading};
    use crate::testing::{at, fixture, plugin, read};

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn price(seen: &Observation) -> f64 {
        match &seen.reading {
            Reading::Value { value, unit } if unit == "USD per gallon" => *value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_newest_weeks_are_asked_for_or_the_address_given() {
        let needs = Needs { now: at(NOW), bars: 0 };
        let url = |toml: &str| plugin::<NyGas>(toml).requests(&needs)[0].url.to_string();
        assert_eq!(
            url("region = 'albany'\nbase_url = 'http://127.0.0.1:9100'"),
            "http://127.0.0.1:9100/resource/nqur-w4p7.json?$order=date%20DESC&$limit=8"
        );
        assert_eq!(url("region = 'albany'\nurl = 'http://a.example/g.csv'"), "http://a.example/g.csv");
    }

    #[test]
    fn an_unknown_region_is_a_mistake_with_its_nearest_name() {
        for (toml, said) in [
            ("region = 'new_york_sate'", "did you mean `new_york_state`?"),
            ("region = ['albany', 'paris']", "unknown region `paris`; known: new_york_state, albany,"),
            ("region = []", "at least one"),
        ] {
            let error = toml::from_str::<NyGas>(toml).err().expect(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn weeks_are_told_oldest_first_for_each_region() {
        let gas: NyGas = plugin("region = ['utica', 'new_york_state']");
        let body = r#"[{"date":"2026-11-16T00:00:00.000","new_york_state_average_gal":"3.01","utica_average_gal":"3.11"},
            {"date":"2026-11-09T00:00:00.000","new_york_state_average_gal":"3.05"}]"#;
        let seen = read(&gas, 200, body, NOW).expect("rows").observations;
        let told: Vec<_> =
            seen.iter().map(|seen| (&*seen.subject, seen.observed_at.to_string(), price(seen))).collect();
        assert_eq!(
            told,
            [
                ("utica", "2026-11-16T00:00:00Z".to_owned(), 3.11),
                ("new_york_state", "2026-11-09T00:00:00Z".to_owned(), 3.05),
                ("new_york_state", "2026-11-16T00:00:00Z".to_owned(), 3.01),
            ]
        );
        assert_eq!(gas.describe("utica"), "gasoline in utica");
    }

    #[test]
    fn downloads_are_read_whole() {
        let of = |region: &str| plugin::<NyGas>(&format!("region = '{region}'"));
        for (file, weeks, last, price_then) in [
            ("weekly_average_by_region_to_2017-09-25_9cols.csv", 518, "2017-09-25T00:00:00Z", 2.79),
            ("weekly_average_by_region_to_2021-10-04.csv", 728, "2021-10-04T00:00:00Z", 3.28),
            ("weekly_average_by_region_to_2022-05-09_bom.csv", 759, "2022-05-09T00:00:00Z", 4.44),
        ] {
            let Some(body) = fixture(&format!("ny_gas/{file}")) else { return };
            let seen = read(&of("new_york_state"), 200, body.clone(), NOW).expect(file).observations;
            assert_eq!(seen.len(), weeks, "{file}");
            assert_eq!((seen[0].observed_at, price(&seen[0])), (at("2007-10-29T00:00:00Z"), 2.98));
            let newest = seen.last().expect("weeks");
            assert_eq!((newest.observed_at, price(newest)), (at(last), price_then));
            assert!(seen.is_sorted_by_key(|seen| seen.observed_at));

            // Batavia came later: not at all in the oldest download, blank before 2016 in the others.
            let batavia = read(&of("batavia"), 200, body, NOW).map(|seen| seen.observations.len());
            match batavia {
                Ok(some) => assert!(weeks > 518 && some > 200 && some < weeks, "{some}"),
                Err(error) => assert!(error.to_string().contains("`batavia_average_gal`"), "{error}"),
            }
        }
    }
}
