//! In which order watches are listed.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::super::super::{State, Status};

/// The states by how much they want to be looked at.
pub(super) const BY_TROUBLE: [State; 8] = [
    State::Failing,
    State::Blocked,
    State::Stale,
    State::Firing,
    State::Held,
    State::Waiting,
    State::Ok,
    State::Paused,
];

/// An order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What wants to be looked at first, then by name.
    Troubles,
    /// By name.
    Name,
    /// What saw a change last first.
    Change,
    /// What ran last first.
    Run,
    /// What runs next first.
    Next,
    /// The oldest open episode first.
    Episode,
}

impl Order {
    pub(super) const ALL: [Self; 6] =
        [Self::Troubles, Self::Name, Self::Change, Self::Run, Self::Next, Self::Episode];

    /// The word in the address.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Troubles => "state",
            Self::Name => "name",
            Self::Change => "change",
            Self::Run => "run",
            Self::Next => "next",
            Self::Episode => "episode",
        }
    }

    /// Which way its column is sorted, for who does not see it.
    pub(super) const fn direction(self) -> &'static str {
        match self {
            Self::Name | Self::Next | Self::Episode => "ascending",
            Self::Change | Self::Run => "descending",
            Self::Troubles => "other",
        }
    }

    /// What a person chooses.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Troubles => "Troubles first",
            Self::Name => "By name",
            Self::Change => "Last change first",
            Self::Run => "Last run first",
            Self::Next => "Next run first",
            Self::Episode => "Longest episode first",
        }
    }

    /// Puts watches that are sorted by name into this order.
    pub(super) fn sort(self, watches: &mut [&Status], changed: impl Fn(&str) -> Option<Timestamp>) {
        let never = Timestamp::MAX;
        match self {
            Self::Troubles => {
                watches.sort_by_key(|one| BY_TROUBLE.iter().position(|state| *state == one.state))
            }
            Self::Name => watches.sort_by_cached_key(|one| one.name.to_lowercase()),
            Self::Change => watches.sort_by_cached_key(|one| Reverse(changed(&one.name))),
            Self::Run => watches.sort_by_key(|one| Reverse(one.ran_at)),
            Self::Next => watches.sort_by_key(|one| one.next_due_at.unwrap_or(never)),
            Self::Episode => watches.sort_by_key(|one| one.since.unwrap_or(never)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::status::Origin;
    use super::*;
    use crate::testing::at;

    fn watch(name: &str, state: State, since: Option<&str>) -> Status {
        Status {
            name: name.into(),
            state,
            origin: Origin::File,
            paused_at: None,
            next_due_at: since.map(at),
            ran_at: since.map(at),
            outcome: None,
            firing: 0,
            since: since.map(at),
        }
    }

    #[test]
    fn troubles_come_first_and_what_is_paused_comes_last() {
        let all: Vec<Status> =
            State::ALL.into_iter().map(|state| watch(state.as_str(), state, None)).collect();
        let mut listed: Vec<&Status> = all.iter().collect();
        Order::Troubles.sort(&mut listed, |_| None);
        let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["failing", "blocked", "stale", "firing", "held", "waiting", "ok", "paused"]);
    }

    #[test]
    fn what_has_no_time_comes_after_what_has() {
        let all = [
            watch("b", State::Ok, None),
            watch("A", State::Ok, Some("2026-11-21T10:00:00Z")),
            watch("c", State::Ok, Some("2026-11-21T09:00:00Z")),
        ];
        for (order, expected) in [
            (Order::Name, ["A", "b", "c"]),
            (Order::Run, ["A", "c", "b"]),
            (Order::Next, ["c", "A", "b"]),
            (Order::Episode, ["c", "A", "b"]),
            (Order::Change, ["c", "b", "A"]),
        ] {
            let mut listed: Vec<&Status> = all.iter().collect();
            order.sort(&mut listed, |name| match name {
                "b" => Some(at("2026-11-20T10:00:00Z")),
                "c" => Some(at("2026-11-21T10:00:00Z")),
                _ => None,
            });
            let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, expected, "{order:?}");
        }
    }
}
