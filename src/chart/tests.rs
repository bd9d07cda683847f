//! What every drawing promises.

use proptest::prelude::{Just, ProptestConfig, Strategy as Gives, any, prop, prop_oneof, proptest};

use super::*;
use crate::model::{Place, Reading};
use crate::plugin::Strategy;
use crate::testing::{at, fixture};

fn chart(title: &str, seen: Seen) -> Chart {
    let (from, until) = seen.ends().unwrap_or((at("2026-11-20T00:00:00Z"), at("2026-11-21T00:00:00Z")));
    Chart {
        watch: "watched".into(),
        title: title.into(),
        unit: String::new(),
        window: Window { from, until },
        seen,
        plots: Vec::new(),
        marks: Vec::new(),
        zone: TimeZone::UTC,
        line: Line::Straight,
        trigger: None,
        without_indicators: false,
    }
}

/// Pictures of captured and of made-up readings go where `STAKEOUT_CHARTS` says, for a person to look at.
fn keep(name: &str, chart: &Chart) {
    let Some(folder) = std::env::var_os("STAKEOUT_CHARTS") else { return };
    for (theme, width, height) in [(Theme::Dark, 800, 450), (Theme::Light, 800, 450), (Theme::Dark, 360, 300)]
    {
        let png = chart.png(Look { width, height, theme }).unwrap();
        let path = std::path::Path::new(&folder).join(format!("{name}-{theme:?}-{width}.png").to_lowercase());
        std::fs::write(path, png).unwrap();
    }
}

fn captured(source: &str, table: &str, file: &str, now: &str) -> Option<Vec<crate::model::Observation>> {
    let body = fixture(file)?;
    let text = format!("kind = \"{source}\"\n{table}");
    let table = toml::de::DeTable::parse(&text).unwrap();
    let (_, source) = crate::plugin::build(crate::sources::KINDS, table).unwrap();
    Some(crate::testing::read(&*source, 200, body, now).unwrap().observations)
}

fn number(at_: &str, title: &str, firing: bool) -> Mark {
    Mark { at: at(at_), title: title.into(), firing }
}

fn apple() -> Option<Chart> {
    let table = "symbols = [\"AAPL\"]\ninterval = \"1d\"";
    let seen = captured("yahoo", table, "yahoo/AAPL_1d_6mo_2025.json", "2026-01-01T00:00:00Z")?;
    let Reading::Candles { interval, candles } = seen[0].reading.clone() else { panic!("bars") };
    let rsi = build("rsi", "buy_below = 30\nsell_above = 70");
    let last = candles.last().unwrap().open_time;
    let plots = rsi.plots(crate::model::Track::Candles { interval, candles: &candles });
    let marks = vec![
        number("2025-08-22T20:00:00Z", "AAPL: RSI 14 is 71.2", true),
        number("2025-09-03T20:00:00Z", "AAPL: over", false),
    ];
    let title = "sell: 72.4".into();
    let trigger = Some(Mark { at: last, title, firing: true });
    Some(Chart { plots, marks, trigger, ..chart("AAPL", Seen::Candles(interval, candles)) })
}

fn build(kind: &str, keys: &str) -> Box<dyn Strategy> {
    let text = format!("kind = \"{kind}\"\n{keys}");
    let table = toml::de::DeTable::parse(&text).unwrap();
    crate::plugin::build(crate::strategies::KINDS, table).unwrap().1
}

fn gasoline() -> Option<Chart> {
    let file = "ny_gas/weekly_average_by_region_to_2022-05-09_bom.csv";
    let seen = captured("ny_gas", "region = \"new_york_state\"", file, "2022-05-10T12:00:00Z")?;
    let mut values: Vec<(Timestamp, f64)> = Vec::new();
    for one in seen.iter().filter(|one| one.subject == seen[0].subject) {
        let Reading::Value { value, .. } = one.reading else { continue };
        values.push((one.observed_at, value));
    }
    values.sort_by_key(|(at, _)| *at);
    let values = values.split_off(values.len().saturating_sub(60));
    let plots = build("price_drop", "baseline = \"previous\"").plots(crate::model::Track::Values(&values));
    let unit = "USD per gallon".into();
    let trigger = Some(Mark { at: values.last().unwrap().0, title: "fell: 4.51".into(), firing: true });
    Some(Chart { plots, unit, trigger, ..chart("gasoline in new_york_state", Seen::Values(values)) })
}

fn restock() -> Chart {
    use Availability::{InStock, OutOfStock, PreOrder, Unknown};
    let offers = [
        ("2026-10-02T00:00:00Z", Some(549.0), PreOrder),
        ("2026-10-09T09:12:00Z", Some(549.0), InStock),
        ("2026-10-12T17:40:00Z", Some(529.99), InStock),
        ("2026-10-13T06:00:00Z", Some(529.99), OutOfStock),
        ("2026-10-26T10:00:00Z", None, OutOfStock),
        ("2026-10-29T10:00:00Z", None, Unknown),
        ("2026-11-01T10:00:00Z", Some(579.99), OutOfStock),
        ("2026-11-20T14:03:00Z", Some(499.99), InStock),
    ];
    let offers = offers.into_iter().map(|(when, price, stock)| (at(when), price, Some(stock))).collect();
    let mut chart =
        chart("MSI Ventus GeForce RTX 3070 8GB GDDR6 PCI Express 4.0 Video Card", Seen::Offers(offers));
    chart.unit = "USD".into();
    chart.line = Line::Step;
    chart.window.until = at("2026-11-20T14:03:10Z");
    chart.marks = vec![
        number("2026-10-09T09:12:00Z", "in stock", true),
        number("2026-10-13T06:00:00Z", "sold out", false),
    ];
    chart.trigger = Some(number("2026-11-20T14:03:10Z", "in stock: 499.99", true));
    chart
}

/// Two days of a price that is looked at every minute.
fn quotes() -> Chart {
    let start = at("2026-11-18T09:00:00Z").as_second();
    let mut price = 60_000.0;
    let value = |n: i64| {
        price *= 1.0 + ((n * 7_919 % 401) as f64 - 200.0 + if n > 2_500 { 25.0 } else { 0.0 }) / 100_000.0;
        (Timestamp::from_second(start + n * 60).unwrap(), price)
    };
    let values: Vec<(Timestamp, f64)> = (0..2_880).map(value).collect();
    let track = crate::model::Track::Values(&values);
    let mut plots = build("percent_change", "by = 5\nwindow = \"6h\"").plots(track);
    plots.extend(build("threshold", "above = 100_000").plots(track));
    Chart { plots, unit: "USD".into(), line: Line::Step, ..chart("XBTUSD", Seen::Values(values)) }
}

/// Bars whose volume leaps up.
fn volume() -> Chart {
    let closes: Vec<f64> = (0..200).map(|n| 100.0 + 8.0 * (f64::from(n) / 17.0).sin()).collect();
    let Reading::Candles { interval, mut candles } = crate::testing::candles("A", &closes).reading else {
        panic!()
    };
    for (n, bar) in candles.iter_mut().enumerate() {
        bar.volume = if n % 71 == 70 { 9e6 } else { 1e6 + (n * 7_919 % 401) as f64 * 1_000.0 };
        bar.high += 0.4;
        bar.low -= 0.6;
    }
    let track = crate::model::Track::Candles { interval, candles: &candles };
    let plots = build("spike", "times = 3\nwindow = \"12h\"\nfield = \"volume\"").plots(track);
    Chart { plots, ..chart("ACME", Seen::Candles(interval, candles)) }
}

#[test]
fn a_date_is_called_by_its_day_and_a_moment_by_its_time() {
    let day = |n: i64| Timestamp::from_second(at("2026-11-02T00:00:00Z").as_second() + n * 86_400).unwrap();
    let days = Seen::Values((0..5).map(|n| (day(n), 1.0)).collect());
    assert!(days.is_by_day());
    assert_eq!(chart("days", days).when(day(1)), "3 Nov 2026");
    let hours = Seen::Values(vec![(day(0), 1.0), (at("2026-11-02T05:30:00Z"), 2.0)]);
    assert!(!hours.is_by_day());
    assert_eq!(chart("hours", hours).when(day(0)), "2 Nov 2026 00:00");
}

#[test]
fn pictures_of_captured_readings_can_be_looked_at() {
    keep("restock", &restock());
    keep("quotes", &quotes());
    keep("volume", &volume());
    keep(
        "huge",
        &chart(
            "money",
            Seen::Values(vec![(at("2026-11-01T00:00:00Z"), 1e12), (at("2026-11-02T00:00:00Z"), 1.4e12)]),
        ),
    );
    keep("tiny", &chart("coin", Seen::Values(vec![(at("2026-11-01T00:00:00Z"), 2.1e-8)])));
    let (Some(apple), Some(gasoline)) = (apple(), gasoline()) else { return };
    keep("rsi", &apple);
    keep("gasoline", &gasoline);
}

/// Every number that stands in a place of the drawing.
fn coordinates(svg: &str) -> Vec<(f64, bool)> {
    let mut found = Vec::new();
    for (key, is_x) in [("x", true), ("cx", true), ("y", false), ("cy", false)] {
        for part in svg.split(&format!(" {key}=\"")).skip(1) {
            found.push((part.split('"').next().unwrap().parse().unwrap(), is_x));
        }
    }
    for path in svg.split(" d=\"").skip(1) {
        let path = path.split('"').next().unwrap();
        let starts = path.match_indices(|c: char| c.is_ascii_uppercase()).map(|(start, _)| start);
        let ends = starts.clone().skip(1).chain([path.len()]);
        for (start, end) in starts.zip(ends) {
            let numbers = path[start + 1..end].split(' ').filter(|number| !number.is_empty());
            for (nth, number) in numbers.enumerate() {
                found.push((number.parse().unwrap(), &path[start..=start] != "V" && nth == 0));
            }
        }
    }
    found
}

fn is_drawn_inside(chart: &Chart, look: Look) {
    let svg = chart.svg(look);
    for (number, is_x) in coordinates(&svg) {
        let most = f64::from(if is_x { look.width } else { look.height });
        assert!((-0.1..=most + 0.1).contains(&number), "{number} of {most}: {svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).expect("it is an SVG");
    let _ = chart.points(look);
}

fn a_number() -> impl Gives<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, 0.0..1_000.0, Just(1e12), Just(1e-8)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_finite_numbers_are_drawn_inside_the_frame(
        numbers in prop::collection::vec((0_i64..4_000_000_000, a_number(), a_number(), 0_usize..5), 0..300),
        limit in a_number(),
        (width, height) in (280_u32..1_200, 120_u32..700),
        straight in any::<bool>(),
        triggered in any::<bool>(),
    ) {
        use Availability::{InStock, OutOfStock, PreOrder, Unknown};
        let mut numbers = numbers;
        numbers.sort_by_key(|(at, ..)| *at);
        numbers.dedup_by_key(|(at, ..)| *at);
        let when = |second: i64| Timestamp::from_second(second).unwrap();
        let bar = |(at, a, b, _): &(i64, f64, f64, usize)| Candle {
            open_time: when(*at), open: *a, high: a.max(*b), low: a.min(*b), close: *b, volume: b.abs(),
        };
        let bars = numbers.iter().map(bar).collect();
        let values: Vec<(Timestamp, f64)> = numbers.iter().map(|(at, a, ..)| (when(*at), *a)).collect();
        let offer = |(at, a, _, kind): &(i64, f64, f64, usize)| {
            let stock = [InStock, OutOfStock, PreOrder, Unknown].get(*kind).copied();
            (when(*at), stock.map(|_| *a), stock)
        };
        let offers = numbers.iter().map(offer).collect();
        let interval = Interval::from_minutes(30).unwrap();
        for seen in [Seen::Candles(interval, bars), Seen::Values(values.clone()), Seen::Offers(offers)] {
            let mut chart = chart("any", seen);
            chart.line = if straight { Line::Straight } else { Line::Step };
            for place in [Place::Over, Place::Panel] {
                chart.plots.push(Plot::new("plot", place).curve("curve", values.clone()).limit("limit", limit));
            }
            chart.plots.push(Plot::new("index", Place::Panel).limit("high", 70.0).range(0.0, 100.0));
            chart.marks = values.iter().take(20).map(|(at, n)| Mark { at: *at, title: "m".into(), firing: *n > 1.0 }).collect();
            let trigger = Mark { at: chart.window.until, title: "it is so".into(), firing: true };
            chart.trigger = Some(trigger).filter(|_| triggered);
            is_drawn_inside(&chart, Look { width, height, theme: Theme::Light });
        }
    }
}

#[test]
fn one_point_a_constant_and_nothing_at_all_are_drawn() {
    let now = at("2026-11-20T00:00:00Z");
    let later = at("2026-11-21T00:00:00Z");
    let look = Look { width: 360, height: 300, theme: Theme::Page };
    for seen in [
        Seen::Values(vec![(now, 5.0)]),
        Seen::Values(vec![(now, 5.0), (later, 5.0)]),
        Seen::Offers(vec![(now, None, Some(Availability::Unknown))]),
    ] {
        let mut chart = chart("few", seen);
        for line in [Line::Step, Line::Straight] {
            chart.line = line;
            is_drawn_inside(&chart, look);
            assert!(chart.svg(look).contains("chart-line"));
        }
    }
    let nothing = chart("none", Seen::Values(vec![]));
    assert!(nothing.svg(look).contains("Nothing was seen in this time."));
    assert_eq!(nothing.in_words(), "none: nothing was seen in this time.");
    assert!(nothing.points(look).points.is_empty());
}

#[test]
fn foreign_texts_stay_texts() {
    let evil = "</title><script>alert(1)</script>\" onload=\"x";
    let mut chart = restock();
    chart.title = evil.into();
    chart.unit = evil.into();
    chart.marks[0].title = evil.into();
    chart.trigger.as_mut().unwrap().title = evil.into();
    chart.plots.push(
        Plot::new(evil, Place::Panel).curve(evil, vec![(at("2026-11-01T00:00:00Z"), 1.0)]).limit(evil, 1.0),
    );
    for theme in [Theme::Page, Theme::Dark] {
        let svg = chart.svg(Look { width: 800, height: 450, theme });
        assert!(!svg.contains("<script") && !svg.contains("\" onload"), "{svg}");
        assert!(svg.contains("&lt;script&gt;"));
    }
}

#[test]
fn a_page_gets_classes_and_a_picture_gets_colours() {
    let page = restock().svg(Look { width: 800, height: 450, theme: Theme::Page });
    for word in ["fill=\"", "stroke=\"", "style=", "font-size", "#"] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    for class in [
        "chart-line",
        "chart-in-stock",
        "chart-to-order",
        "chart-gone",
        "chart-unknown",
        "chart-firing",
        "chart-resolved",
        "chart-tag",
    ] {
        assert!(page.contains(&format!("class=\"{class}\"")), "{class}");
    }
    assert!(page.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 450\""));
    assert!(page.contains("role=\"img\"") && page.contains("<desc>MSI Ventus"));
    let picture = restock().svg(Look { width: 800, height: 450, theme: Theme::Dark });
    assert!(!picture.contains("class=\"chart-line\"") && picture.contains("stroke=\"#6cb2ff\""));
}

#[test]
fn every_class_of_a_drawing_stands_in_the_style_sheet() {
    let sheet = include_str!("../web/assets/chart.css");
    let theme = include_str!("theme.rs");
    let classes = theme.split("\"chart-").skip(1).map(|rest| rest.split('"').next().unwrap());
    for class in classes {
        assert!(sheet.contains(&format!(".chart-{class} {{")), "{class}");
    }
}

#[test]
fn a_rise_is_hollow_and_a_fall_is_filled() {
    let bars = crate::testing::candles("A", &[1.0, 2.0, 1.5]);
    let Reading::Candles { interval, candles } = bars.reading else { panic!("bars") };
    let svg = chart("A", Seen::Candles(interval, candles)).svg(Look {
        width: 300,
        height: 200,
        theme: Theme::Light,
    });
    assert!(
        svg.contains("fill=\"#ffffff\" stroke=\"#0a7d4b\"")
            && svg.contains("fill=\"#c62f2f\" stroke=\"#c62f2f\"")
    );
}

#[test]
fn of_more_points_than_pixels_the_extremes_stay() {
    let start = at("2026-11-01T00:00:00Z").as_second();
    let value = |n: i64| {
        if n == 31_415 {
            1_000.0
        } else if n == 27_182 {
            -1_000.0
        } else {
            (n % 7) as f64
        }
    };
    let values = (0..50_000).map(|n| (Timestamp::from_second(start + n * 60).unwrap(), value(n))).collect();
    let look = Look { width: 400, height: 300, theme: Theme::Page };
    let many = chart("many", Seen::Values(values));
    assert!(many.svg(look).len() < 30_000);
    let points = many.points(look).points;
    assert!(points.len() < 1_700);
    for extreme in [1_000.0, -1_000.0] {
        assert!(points.iter().any(|point| point.values[0] == Some(Figure::Number(extreme))), "{extreme}");
    }
    let bars = crate::testing::candles("A", &(0..2_000).map(|n| f64::from(n % 50)).collect::<Vec<_>>());
    let Reading::Candles { interval, candles } = bars.reading else { panic!("bars") };
    let bars = chart("A", Seen::Candles(interval, candles)).points(look).points;
    assert!(bars.len() <= 120 && bars.windows(2).all(|two| two[1].x - two[0].x >= 2.9));
    let high = |spot: &Spot| spot.values[1].clone();
    assert!(bars.iter().any(|spot| high(spot) == Some(Figure::Number(49.0))));
}

#[test]
fn the_numbers_beside_a_drawing_lie_where_it_shows_them() {
    let look = Look { width: 800, height: 450, theme: Theme::Page };
    let points = restock().points(look);
    assert_eq!(points.columns, ["price", "availability"]);
    let last = points.points.last().unwrap();
    assert_eq!(last.when, "20 Nov 2026 14:03");
    assert_eq!(last.values, [Some(Figure::Number(499.99)), Some(Figure::Word("in stock".into()))]);
    assert!(last.x > points.left && last.x <= points.right && last.y.is_some());
    let json = serde_json::to_value(&points).unwrap();
    assert_eq!(json["points"][4]["values"], serde_json::json!([null, "out of stock"]));
    assert_eq!(json["panels"][1]["name"], "availability");
    assert_eq!(json["marks"][0]["firing"], true);
}

#[test]
fn a_picture_has_the_size_that_was_asked_for_and_its_texts_on_a_machine_without_fonts() {
    let look = Look { width: 800, height: 450, theme: Theme::Dark };
    let pixels = |svg: &str| resvg::tiny_skia::Pixmap::decode_png(&png::png(svg).unwrap()).unwrap();
    let svg = restock().svg(look);
    let with = pixels(&svg);
    assert_eq!((with.width(), with.height()), (800, 450));
    let without = pixels(&svg.replace("<text", "<desc").replace("</text", "</desc"));
    let differ = with.pixels().iter().zip(without.pixels()).filter(|(a, b)| a != b).count();
    assert!(differ > 3_000, "{differ}");
    let size = restock().png(look).unwrap().len();
    assert!(size < 60_000, "{size}");
    assert!(png::png("<svg").unwrap_err().starts_with("the drawing cannot be read"));
}

#[test]
fn bars_that_are_drawn_as_one_show_the_indicator_of_their_end() {
    let look = Look { width: 400, height: 300, theme: Theme::Page };
    let drawn = |count: u32| {
        let bars = crate::testing::candles("A", &(0..count).map(f64::from).collect::<Vec<_>>());
        let Reading::Candles { interval, candles } = bars.reading else { panic!("bars") };
        let closes = candles.iter().map(|bar| (bar.open_time, bar.close)).collect();
        let mut chart = chart("A", Seen::Candles(interval, candles));
        chart.plots.push(Plot::new("own", Place::Panel).curve("close", closes));
        (chart.points(look), chart.svg(look))
    };
    let (points, svg) = drawn(500);
    assert!(points.points.iter().all(|spot| spot.values[3] == spot.values[5]), "the close is of its end");
    let curve = svg.split("class=\"chart-curve\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(curve.matches(['M', 'L']).count(), points.points.len(), "one point a bar");
    assert!(svg.contains(" × 30m)"), "{svg}");
    let (after, _) = drawn(501);
    let values = |points: &Points| points.points.iter().map(|spot| spot.values.clone()).collect::<Vec<_>>();
    let (before, after) = (values(&points), values(&after));
    assert_eq!(before[..before.len() - 1], after[..before.len() - 1], "one more bar leaves the others alone");
}
