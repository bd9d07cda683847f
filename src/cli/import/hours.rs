//! Hours of the week as changedetection.io keeps to them.

use serde_json::Value as Json;

use super::draft::{Draft, Keys, number, plain, truth};

const DAYS: [(&str, &str); 7] = [
    ("monday", "MON"),
    ("tuesday", "TUE"),
    ("wednesday", "WED"),
    ("thursday", "THU"),
    ("friday", "FRI"),
    ("saturday", "SAT"),
    ("sunday", "SUN"),
];

/// Hours of the week, where they are the same on each day that has some.
/// `zone` is the one of all watches.
pub(super) fn carry(keys: &mut Keys, draft: &mut Draft, zone: Option<&str>) {
    let Some(limit) = keys.0.get("time_schedule_limit").and_then(Json::as_object) else { return };
    if limit.get("enabled").and_then(truth) != Some(true) {
        keys.forget(&["time_schedule_limit"]);
        return;
    }
    let mut hours: Option<String> = None;
    let mut open = Vec::new();
    for (name, day) in DAYS {
        let Some(on) = limit.get(name).filter(|on| on.get("enabled").and_then(truth) != Some(false)) else {
            continue;
        };
        let Some(written) = opening(on) else { return };
        if hours.get_or_insert_with(|| written.clone()) != &written {
            return;
        }
        open.push(day);
    }
    let Some(hours) = hours else { return };
    let zone = limit
        .get("timezone")
        .and_then(plain)
        .filter(|zone| !zone.is_empty())
        .or_else(|| zone.map(str::to_owned));
    draft.set("hours", format!("{hours} {}", open.join(",")));
    if let Some(zone) = zone {
        draft.set("timezone", zone);
    }
    keys.forget(&["time_schedule_limit"]);
}

fn opening(day: &Json) -> Option<String> {
    let (hour, minute) = day.get("start_time")?.as_str()?.split_once(':')?;
    let from = hour.trim().parse::<u32>().ok()?.checked_mul(60)?.checked_add(minute.trim().parse().ok()?)?;
    let of = |unit: &str| day.get("duration")?.get(unit).and_then(number);
    let length = of("hours")?.mul_add(60.0, of("minutes").unwrap_or(0.0));
    if !(1.0..=1440.0).contains(&length) || from >= 1440 {
        return None;
    }
    let until = from.checked_add(length as u32)?;
    let until = if until > 1440 { until - 1440 } else { until };
    Some(format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60))
}
