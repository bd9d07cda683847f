//! How a watch stands, in one word and what belongs to it: for the overview and for the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::Glance;

/// The one word for how a watch stands: of several that hold, the first of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A person paused it, or its configuration disables it.
    Paused,
    /// Its last run met a wall, or a host that asked to be left alone.
    Blocked,
    /// Its last run failed, or it is told to be failing.
    Failing,
    /// Its data stand still.
    Stale,
    /// Something is so that was told.
    Firing,
    /// Something is so that will be told when the quiet hours end.
    Held,
    /// It has not run yet.
    Waiting,
    /// Nothing to tell.
    Ok,
}

impl State {
    /// Each of them, in the order of their weight.
    pub const ALL: [Self; 8] = [
        Self::Paused,
        Self::Blocked,
        Self::Failing,
        Self::Stale,
        Self::Firing,
        Self::Held,
        Self::Waiting,
        Self::Ok,
    ];

    /// The word it goes by in JSON, in addresses and in style sheets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Failing => "failing",
            Self::Stale => "stale",
            Self::Firing => "firing",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Ok => "ok",
        }
    }
}

/// How a watch stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// In one word.
    pub state: State,
    /// Where it was added: in a configuration file, or by way of the API or the command line.
    pub origin: Origin,
    /// When a person paused it.
    pub paused_at: Option<Timestamp>,
    /// When it is due next.
    pub next_due_at: Option<Timestamp>,
    /// When its last run was decided.
    pub ran_at: Option<Timestamp>,
    /// How that ended.
    #[schema(value_type = Option<crate::model::Outcome>)]
    pub outcome: Option<String>,
    /// About how many subjects its strategies fire now.
    pub firing: i64,
    /// Since when it has been so: of an open episode since that began, of a pause since then.
    pub since: Option<Timestamp>,
}

/// Where a watch was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In a configuration file.
    File,
    /// By way of the API or the command line.
    Api,
}

impl From<Glance> for Status {
    fn from(glance: Glance) -> Self {
        let outcome = glance.outcome.as_deref();
        let state = if glance.paused_at.is_some() || !glance.enabled {
            State::Paused
        } else if outcome == Some("blocked") {
            State::Blocked
        } else if outcome == Some("failed") || glance.failing_since.is_some() {
            State::Failing
        } else if glance.stale_since.is_some() {
            State::Stale
        } else if glance.firing > 0 {
            if glance.is_held { State::Held } else { State::Firing }
        } else if outcome.is_none() {
            State::Waiting
        } else {
            State::Ok
        };
        let since = match state {
            State::Paused => glance.paused_at,
            State::Blocked | State::Failing => glance.failing_since,
            State::Stale => glance.stale_since,
            _ => glance.firing_since,
        };
        Self {
            name: glance.name,
            state,
            origin: if glance.is_added { Origin::Api } else { Origin::File },
            paused_at: glance.paused_at,
            next_due_at: glance.next_due_at,
            ran_at: glance.ran_at,
            outcome: glance.outcome,
            firing: glance.firing,
            since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    const FIRING: &str = "2026-11-21T10:01:00Z";
    const FAILING: &str = "2026-11-21T10:02:00Z";
    const STALE: &str = "2026-11-21T10:03:00Z";

    /// A watch of which nothing is to be told.
    fn well() -> Glance {
        Glance {
            id: 1,
            name: "w".into(),
            is_added: false,
            enabled: true,
            paused_at: None,
            next_due_at: None,
            ran_at: Some(at(FIRING)),
            outcome: Some("ok".into()),
            firing: 0,
            firing_since: None,
            failing_since: None,
            stale_since: None,
            is_held: false,
        }
    }

    #[test]
    fn of_all_that_holds_the_weightiest_word_is_said_with_its_own_age() {
        let outcome = |word: &str| Some(word.to_owned());
        // Each row holds all that the rows above it say.
        let mut glance = Glance { outcome: None, ..well() };
        let mut said = Vec::new();
        let changes: [fn(&mut Glance); 7] = [
            |_| {},
            |glance| glance.outcome = Some("unchanged".into()),
            |glance| (glance.firing, glance.firing_since) = (2, Some(at(FIRING))),
            |glance| glance.stale_since = Some(at(STALE)),
            |glance| glance.failing_since = Some(at(FAILING)),
            |glance| glance.outcome = Some("blocked".into()),
            |glance| glance.paused_at = Some(at(STALE)),
        ];
        for change in changes {
            change(&mut glance);
            let status = Status::from(glance.clone());
            said.push((status.state.as_str(), status.since));
        }
        assert_eq!(
            said,
            [
                ("waiting", None),
                ("ok", None),
                ("firing", Some(at(FIRING))),
                ("stale", Some(at(STALE))),
                ("failing", Some(at(FAILING))),
                ("blocked", Some(at(FAILING))),
                ("paused", Some(at(STALE))),
            ]
        );
        let failed = Status::from(Glance { outcome: outcome("failed"), ..well() });
        assert_eq!((failed.state, failed.since), (State::Failing, None), "it is not told yet");
        let disabled = Status::from(Glance { enabled: false, ..well() });
        assert_eq!(disabled.state, State::Paused);
    }

    #[test]
    fn what_fires_and_waits_for_the_end_of_quiet_hours_is_held() {
        let held = Glance { firing: 1, firing_since: Some(at(FIRING)), is_held: true, ..well() };
        assert_eq!(Status::from(held).state, State::Held);
        let brief = Glance { is_held: true, is_added: true, ..well() };
        let status = Status::from(brief);
        assert_eq!((status.state, status.origin), (State::Ok, Origin::Api), "only an end is held");
    }
}
