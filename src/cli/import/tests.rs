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

#[test]
fn a_thousand_watches_are_read_at_once() {
    let begun = std::time::Instant::now();
    let text: String = (0..1_000).map(|n| format!("https://a{n}.example/ x\n")).collect();
    let written = written(&text).expect("watches");
    assert_eq!(written.watches, 1_000);
    assert_eq!(fit::mistake(&written.text), None);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}
