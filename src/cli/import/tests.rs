use proptest::prelude::*;

use super::*;

fn written(text: &str) -> Result<Written, String> {
    haul(text, None).map(|haul| write::write(haul, "30m"))
}

#[test]
fn what_a_file_is_is_seen_by_what_stands_in_it() {
    for (text, format) in [
        ("url: https://a.example/", Format::Urlwatch),
        ("# jobs\n---\nname: a\nurl: https://a.example/\n", Format::Urlwatch),
        ("\"url\": https://a.example/", Format::Urlwatch),
        ("- url: https://a.example/", Format::Urlwatch),
        (" {\"watching\": {}}", Format::Changedetection),
        ("[]", Format::Changedetection),
        ("https://a.example/ news, town\n", Format::Addresses),
        ("# mine\n\nhttps://a.example:8080/x: y\n", Format::Addresses),
        ("a.example\n", Format::Addresses),
    ] {
        assert_eq!(guess(text), format, "{text}");
    }
}

#[test]
fn an_address_with_a_key_in_it_is_a_secret_and_a_plain_one_is_not() {
    for (text, holds) in [
        ("https://a.example/?page=2", false),
        ("https://a.example/?token=abcdefgh", true),
        ("https://me:pa55word@a.example/", true),
        ("url: https://a.example/\nheaders: {accept: text/html}", false),
        ("url: https://a.example/\nheaders: {x-key: abcdefgh}", true),
        ("url: https://a.example/\ncookies: {a: abcdefgh}", true),
    ] {
        assert_eq!(written(text).map(|written| written.holds_secrets), Ok(holds), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_an_error_or_a_good_configuration(
        text in "\\PC*",
        format in prop_oneof![
            Just(Format::Urlwatch), Just(Format::Changedetection), Just(Format::Addresses)
        ],
    ) {
        if let Ok(haul) = haul(&text, Some(format)) {
            prop_assert_eq!(fit::mistake(&write::write(haul, "30m").text), None);
        }
    }

    #[test]
    fn any_value_under_a_known_key_is_carried_over_or_listed(
        key in prop_oneof![
            Just("name"), Just("method"), Just("data"), Just("timeout"), Just("proxy"), Just("tags"), Just("note"),
            Just("filter"), Just("headers"), Just("cookies"), Just("max_tries"), Just("useragent"), Just("title"),
            Just("include_filters"), Just("body"), Just("time_between_check"), Just("processor"), Just("url"),
            Just("notification_urls"), Just("restock_settings"), Just("time_schedule_limit"), Just("params"),
        ],
        name in "\\PC{0,12}",
        value in prop_oneof![any::<String>(), "[$]\\{[A-Z]+\\}", "[.$/\\[\\]a-c0-9*\"']{1,12}"],
        nested in any::<bool>(),
        restock in any::<bool>(),
    ) {
        let value = if nested { serde_json::json!({ name: value }) } else { value.into() };
        let processor = if restock { "restock_diff" } else { "text_json_diff" };
        let mut job = serde_json::json!({"url": "https://a.example/", "processor": processor});
        if let Some(job) = job.as_object_mut() {
            job.insert(key.into(), value);
        }
        let document = job.to_string();
        for format in [Format::Urlwatch, Format::Changedetection] {
            if let Ok(haul) = haul(&document, Some(format)) {
                let written = write::write(haul, "30m");
                prop_assert_eq!(fit::mistake(&written.text), None, "{}", written.text);
            }
        }
    }
}

/// Any of the keys of a program, each with a value of any shape in which a word stands that stands nowhere else.
fn jobs(keys: Vec<&'static str>) -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let most = keys.len();
    proptest::collection::btree_map(proptest::sample::select(keys), 0..5_u8, 1..most.min(6)).prop_map(
        |keys| {
            let keys = keys.into_iter().enumerate();
            keys.map(|(number, (key, shape))| {
                let word = word(number);
                let value = match shape {
                    0 | 1 => word.into(),
                    2 => serde_json::json!([word]),
                    3 => serde_json::json!({ word.as_str(): word }),
                    _ => serde_json::json!([{ word.as_str(): word }]),
                };
                (key.to_owned(), value)
            })
            .collect()
        },
    )
}

fn word(number: usize) -> String {
    format!("word{number}x")
}

/// The keys that are neither in what was written nor listed above it.
fn vanished(
    job: &serde_json::Map<String, serde_json::Value>,
    format: Format,
    also: &[(&str, &str)],
) -> Vec<String> {
    let mut document = job.clone();
    for (key, value) in also {
        document.insert((*key).to_owned(), (*value).into());
    }
    let document = serde_json::Value::from(document).to_string();
    let Ok(haul) = haul(&document, Some(format)) else { return Vec::new() };
    let written = write::write(haul, "30m");
    if written.watches == 0 {
        return Vec::new();
    }
    let text = written.text.to_lowercase();
    let is_there = |number: usize, key: &str| {
        // What is carried over under another name may be listed under that.
        let key = match key {
            "https_proxy" => "proxy",
            "data" => "body",
            key => key,
        };
        text.contains(&word(number)) || text.contains(&format!("not carried over: {key}"))
    };
    let keys = job.keys().enumerate();
    keys.filter(|(number, key)| {
        !is_there(*number, key) && !text.contains(&format!("not carried over: {key}"))
    })
    .map(|(_, key)| format!("{key} of {document} in {text}"))
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_key_of_a_job_vanishes(
        job in jobs(urlwatch::LISTED.iter().map(|(key, _)| *key)
            .chain(["kind", "use_browser", "filter", "treat_new_as_changed", "frobnicate"]).collect()),
    ) {
        prop_assert_eq!(vanished(&job, Format::Urlwatch, &[("url", "https://a.example/")]), Vec::<String>::new());
    }

    #[test]
    fn no_key_of_a_watch_vanishes(
        // A timetable that is switched off says nothing.
        job in jobs(changedetection::LISTED.iter().map(|(key, _)| *key).filter(|key| *key != "time_schedule_limit")
            .chain(["time_between_check", "fetch_backend", "tag", "notification_muted", "frobnicate"]).collect()),
        price in jobs(restock::KEYS.to_vec()),
        is_price in any::<bool>(),
    ) {
        let (job, processor) = match price.into_iter().next() {
            // Of settings in several places only one counts.
            Some((key, value)) if is_price => ([(key, value)].into_iter().collect(), "restock_diff"),
            _ => (job, "text_json_diff"),
        };
        let also = [("url", "https://a.example/"), ("processor", processor)];
        prop_assert_eq!(vanished(&job, Format::Changedetection, &also), Vec::<String>::new());
    }
}

#[test]
fn what_cannot_be_read_repeats_no_secret() {
    for text in [
        "url: https://me:s3cret@a.example:99999/?token=s3cret",
        "url: ftp://me:s3cret@a.example/x?key=s3cret",
        "url: https://a.example/\nproxy: s3cret://me:s3cret@x",
        "url: https://a.example/\nproxy: me:s3cret@x:1",
        "url: s3cret",
    ] {
        let written = written(text).expect(text);
        let told: Vec<&str> = written.left_out.iter().map(|left| left.why.as_str()).collect();
        let above: Vec<&str> = written.text.lines().filter(|line| line.starts_with('#')).collect();
        assert!(
            !told.concat().contains("s3cret") && !above.concat().contains("s3cret"),
            "{told:?} {above:?}"
        );
    }
}

#[test]
fn a_move_is_measured_from_one_look_to_the_next() {
    let text = r#"{"url": "https://a.example/", "processor": "restock_diff", "time_between_check": {"minutes": 20},
                   "restock_settings": {"price_change_threshold_percent": 5, "odd": 1, "price_change_min": "x"}}"#;
    let written = written(text).expect("a watch");
    assert!(written.text.contains("window = \"20m\""), "{}", written.text);
    for what in ["# not carried over: odd: ", "# not carried over: price_change_min: is no number"] {
        assert!(written.text.contains(what), "{what}: {}", written.text);
    }
}

#[test]
fn a_thousand_watches_are_read_at_once() {
    let text: String = (0..1_000).map(|n| format!("https://a{n}.example/ x\n")).collect();
    let written = written(&text).expect("watches");
    assert_eq!(written.watches, 1_000);
    assert_eq!(fit::mistake(&written.text), None);
}
