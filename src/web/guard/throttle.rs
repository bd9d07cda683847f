//! Wrong tokens slow down whoever shows them.
//!
//! Each wrong one doubles the wait of its address; very many of them, wherever they come from, that of every
//! address which has never shown the right one. While an address waits, nothing that it shows is looked at.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many mistakes cost an address nothing.
const FREE: u32 = 3;

/// The longest wait of an address.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// So many mistakes of all addresses together cost nothing.
const FREE_FOR_ALL: u32 = 30;

/// The longest wait for all: short, since it also meets an owner who comes from a new address.
const LONGEST_FOR_ALL: Duration = Duration::from_secs(60);

/// Mistakes that nobody has repeated for so long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// So many addresses are remembered.
const MOST_ADDRESSES: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Throttle {
    addresses: HashMap<IpAddr, Record>,
    all: Record,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    mistakes: u32,
    last: Option<Instant>,
    /// It has shown the right one.
    is_proven: bool,
}

impl Throttle {
    /// Looks at what an address shows, unless it has to wait: then for how long.
    ///
    /// # Errors
    /// The wait that is left.
    pub(super) fn look(
        &mut self,
        address: IpAddr,
        now: Instant,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let address = network(address);
        let known = self.addresses.get(&address).copied().unwrap_or_default();
        let mut wait = known.wait(FREE, LONGEST, now);
        if !known.is_proven {
            wait = wait.max(self.all.wait(FREE_FOR_ALL, LONGEST_FOR_ALL, now));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        let is_right = is_right();
        if is_right && known.is_proven {
            return Ok(true);
        }
        self.make_room(now);
        let record = self.addresses.entry(address).or_default();
        if is_right {
            record.is_proven = true;
        } else {
            record.note_mistake(now);
            self.all.note_mistake(now);
        }
        Ok(is_right)
    }

    /// A person came in: the mistakes before are no guesses.
    pub(super) fn forgive(&mut self, address: IpAddr) {
        if let Some(record) = self.addresses.get_mut(&network(address)) {
            record.mistakes = 0;
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.addresses.len() < MOST_ADDRESSES {
            return;
        }
        self.addresses.retain(|_, record| record.is_proven || !record.is_forgotten(now));
        while self.addresses.len() >= MOST_ADDRESSES {
            let oldest = self.addresses.iter().min_by_key(|(_, record)| record.last);
            let Some(oldest) = oldest.map(|(address, _)| *address) else { return };
            self.addresses.remove(&oldest);
        }
    }
}

impl Record {
    fn is_forgotten(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGOTTEN_AFTER)
    }

    fn note_mistake(&mut self, now: Instant) {
        self.mistakes = if self.is_forgotten(now) { 1 } else { self.mistakes.saturating_add(1) };
        self.last = Some(now);
    }

    /// How much is left of the wait: a second after the last free mistake, then twice as long each time.
    fn wait(&self, free: u32, longest: Duration, now: Instant) -> Duration {
        let Some(last) = self.last.filter(|_| self.mistakes >= free && !self.is_forgotten(now)) else {
            return Duration::ZERO;
        };
        let doublings = self.mistakes.saturating_sub(free).min(31);
        let wait = Duration::from_secs(1_u64 << doublings).min(longest);
        wait.saturating_sub(now.saturating_duration_since(last))
    }
}

/// Who has one IPv6 address has all of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wrong() -> bool {
        false
    }

    #[test]
    fn each_mistake_after_the_third_doubles_the_wait() {
        let mut throttle = Throttle::default();
        let (who, mut now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            assert_eq!(throttle.look(who, now, wrong), Ok(false));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(throttle.look(who, now, || panic!("it is not looked at")), Err(wait));
            now += wait;
            assert_eq!(throttle.look(who, now, wrong), Ok(false), "after {wait:?}");
        }
    }

    #[test]
    fn also_the_right_one_is_not_looked_at_while_its_address_waits_and_others_do_not_wait() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            throttle.look(who, now, wrong).unwrap();
        }
        assert!(throttle.look(who, now, || true).is_err());
        assert_eq!(throttle.look(address("192.0.2.2"), now, || true), Ok(true));
        assert_eq!(throttle.look(who, now + Duration::from_secs(1), || true), Ok(true));
    }

    #[test]
    fn a_person_who_came_in_begins_anew_and_so_does_who_made_no_mistake_for_an_hour() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..2 {
            throttle.look(who, now, wrong).unwrap();
        }
        assert_eq!(throttle.look(who, now, || true), Ok(true));
        throttle.forgive(who);
        for _ in 0..3 {
            assert_eq!(throttle.look(who, now, wrong), Ok(false));
        }
        let later = now + FORGOTTEN_AFTER;
        for _ in 0..3 {
            assert_eq!(throttle.look(who, later, wrong), Ok(false));
        }
        assert!(throttle.look(who, later, wrong).is_err());
    }

    #[test]
    fn very_many_addresses_wait_together_but_not_one_that_has_shown_the_right_one() {
        let mut throttle = Throttle::default();
        let (owner, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(throttle.look(owner, now, || true), Ok(true));
        for n in 0..30_u32 {
            let guesser = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n));
            assert_eq!(throttle.look(guesser, now, wrong), Ok(false), "{n}");
        }
        assert!(throttle.look(address("198.51.100.7"), now, || true).is_err());
        assert_eq!(throttle.look(owner, now, || true), Ok(true));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_an_address_is_one_in_both_its_forms() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 1..=3 {
            throttle.look(address(&format!("2001:db8::{n}")), now, wrong).unwrap();
            throttle.look(address("::ffff:192.0.2.1"), now, wrong).unwrap();
        }
        assert!(throttle.look(address("2001:db8::99"), now, wrong).is_err());
        assert_eq!(throttle.look(address("2001:db8:0:1::1"), now, wrong), Ok(false));
        assert!(throttle.look(address("192.0.2.1"), now, wrong).is_err());
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut throttle = Throttle::default();
        let mut now = Instant::now();
        for n in 0..10_000_u32 {
            now += LONGEST_FOR_ALL;
            let guesser = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            assert_eq!(throttle.look(guesser, now, wrong), Ok(false));
        }
        assert!(throttle.addresses.len() <= MOST_ADDRESSES);
    }
}
