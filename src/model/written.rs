//! How a value is written in the configuration, for its schema.

/// Describes a type that is written as a text: what it is called, what it looks like (a regular expression), and
/// examples of it.
macro_rules! written_as {
    ($type:ty, $called:literal, $pattern:expr, $examples:expr) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let examples: &[&str] = &$examples;
                schemars::json_schema!({
                    "title": $called, "type": "string", "pattern": $pattern, "examples": examples
                })
            }
        }
    };
}
pub(crate) use written_as;

/// A crontab line: five fields, or a word like `@daily`.
pub enum CrontabLine {}
written_as!(
    CrontabLine,
    "crontab line",
    r"^\s*(\S+(\s+\S+){4}|@\S+)?\s*$",
    ["*/30 9-17 * * MON-FRI", "0 9 * * *"]
);

/// A time zone of the IANA database.
pub enum ZoneName {}
written_as!(ZoneName, "time zone", r"^[A-Za-z0-9_+\-/]+$", ["UTC", "Europe/Warsaw", "America/New_York"]);

/// Hours in which something waits, every day.
pub enum HoursOfDay {}
written_as!(
    HoursOfDay,
    "hours",
    r"^\s*(\d{2}:\d{2}(:\d{2})?\s*-\s*\d{2}:\d{2}(:\d{2})?\s*)?$",
    ["22:00-07:00"]
);

/// When something is open: an exchange, or hours of its own.
pub enum OpenHours {}
written_as!(
    OpenHours,
    "exchange or hours",
    r"^\s*\S+(\s+\S+){0,2}\s*$",
    ["NYSE", "crypto", "09:30-16:00 MON-FRI America/New_York"]
);
