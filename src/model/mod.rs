//! The words of the program as plain data. Nothing here reads a clock, a file or the network.

mod alert;
mod evidence;
mod nearest;
mod number;
mod observation;
mod period;
mod plot;
mod run;
mod secret;
mod signal;
mod silence;
mod slot;
mod written;

pub use alert::{Alert, AlertStatus, Reason};
pub use evidence::{Evidence, Witness};
pub use nearest::{did_you_mean, nearest, or_known};
pub use number::{money, plain, shown};
pub use observation::{
    Availability, Candle, Interval, Listing, Observation, Past, Quote, Reading, ReadingKind,
};
pub use period::Period;
pub use plot::{Curve, Limit, Place, Plot, Track};
pub use run::{Outcome, RunEnd, RunRequest, Trigger};
pub use secret::Secret;
pub use signal::{OnFirst, PolicyDefaults, Severity, Signal, SignalState};
pub use silence::{About, Matchers, SILENCE_OF, Silence};
pub use slot::{Coverage, SlotOutcome, Stretch};
pub(crate) use written::written_as;
pub use written::{CrontabLine, HoursOfDay, OpenHours, ZoneName};
