//! Figures beside their aims.

use std::time::Duration;

pub(super) enum Measured {
    Time(Duration),
    Count(u64),
    Megabytes(f64),
    Rate(f64),
    Ratio(f64),
}

pub(super) enum Aim {
    Under(Duration),
    Megabytes(f64),
    AtLeast(f64),
    AtMost(u64),
    RatioAtMost(f64),
    Nothing,
}

pub(super) fn row(figure: &str, measured: Measured, aim: Aim) {
    let shown = match &measured {
        Measured::Time(time) => time_in_words(*time),
        Measured::Count(count) => count.to_string(),
        Measured::Megabytes(megabytes) => format!("{megabytes:.1} MB"),
        Measured::Rate(rate) => format!("{rate:.0}/s"),
        Measured::Ratio(ratio) => format!("{ratio:.2}"),
    };
    let (aimed, met) = match (&aim, &measured) {
        (Aim::Under(limit), Measured::Time(time)) => (format!("< {}", time_in_words(*limit)), time < limit),
        (Aim::Megabytes(limit), Measured::Megabytes(used)) => (format!("< {limit:.0} MB"), used < limit),
        (Aim::AtLeast(least), Measured::Ratio(ratio)) => (format!("at least {least}"), ratio >= least),
        (Aim::AtMost(allowed), Measured::Count(count)) => (allowed.to_string(), count <= allowed),
        (Aim::RatioAtMost(most), Measured::Ratio(ratio)) => (format!("at most {most}"), ratio <= most),
        _ => (String::new(), true),
    };
    println!("{figure:<66} {shown:>14}   {aimed:<14}{}", if met { "" } else { " missed" });
}

pub(super) fn time_in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.1} µs", s * 1e6),
    }
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

pub(super) fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
