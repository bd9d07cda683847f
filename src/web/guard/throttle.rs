//! Wrong tokens slow down whoever shows them.
//!
//! Each wrong one doubles the wait of its address; very many of them, wherever they come from, that of every
//! address. While an address waits, nothing that it shows is looked at. But the owner is not to be kept out by
//! others: an address is often many people, so one that has lately shown the right one may show it at any time. And a
//! program that shows an old one again and again is none that guesses: the same one counts once.

use std::collections::{HashMap, VecDeque};
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

/// An address that has shown the right one may show it again for so long.
const PROVEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many of the last wrong ones of an address are known again: a few programs and people may share it.
const MOST_KNOWN: usize = 4;

/// So many addresses are remembered.
const MOST_ADDRESSES: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Throttle {
    addresses: HashMap<IpAddr, Record>,
    all: Record,
}

/// Who shows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) struct Sender {
    pub(super) address: IpAddr,
    /// Whether everybody may have this address: then they wait only as all do.
    pub(super) is_anybody: bool,
}

impl From<IpAddr> for Sender {
    fn from(address: IpAddr) -> Self {
        Self { address, is_anybody: false }
    }
}

/// What stands for a token.
pub(super) type Digest = [u8; 32];

#[derive(Debug, Default)]
struct Record {
    mistakes: u32,
    last: Option<Instant>,
    /// The last wrong ones.
    wrong: VecDeque<Digest>,
    /// When it has shown the right one.
    proven_at: Option<Instant>,
}

impl Throttle {
    /// Looks at what somebody shows, unless they have to wait: then for how long.
    ///
    /// # Errors
    /// The wait that is left.
    pub(super) fn look(
        &mut self,
        sender: Sender,
        now: Instant,
        shown: Digest,
        is_right: impl FnOnce(&Digest) -> bool,
    ) -> Result<bool, Duration> {
        let address = network(sender.address);
        let (mut wait, mut is_proven) = (self.all.wait(FREE_FOR_ALL, LONGEST_FOR_ALL, now), false);
        if let Some(known) = self.addresses.get(&address) {
            if known.wrong.contains(&shown) {
                return Ok(false);
            }
            is_proven = known.is_proven(now);
            if !sender.is_anybody {
                wait = wait.max(known.wait(FREE, LONGEST, now));
            }
        }
        if !wait.is_zero() && !is_proven {
            return Err(wait);
        }
        let is_right = is_right(&shown);
        if !is_right && !wait.is_zero() {
            return Err(wait);
        }
        self.make_room(now);
        let record = self.addresses.entry(address).or_default();
        if is_right {
            record.proven_at = Some(now);
        } else {
            record.note_mistake(now);
            record.know_again(shown);
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
        self.addresses.retain(|_, record| record.is_proven(now) || !record.is_forgotten(now));
        while self.addresses.len() >= MOST_ADDRESSES {
            // Of those that have shown the right one there are few, and nobody else can become one.
            let oldest = self.addresses.iter().min_by_key(|(_, record)| (record.is_proven(now), record.last));
            let Some(oldest) = oldest.map(|(address, _)| *address) else { return };
            self.addresses.remove(&oldest);
        }
    }
}

impl Record {
    fn is_forgotten(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGOTTEN_AFTER)
    }

    fn is_proven(&self, now: Instant) -> bool {
        self.proven_at.is_some_and(|at| now.saturating_duration_since(at) < PROVEN_FOR)
    }

    fn know_again(&mut self, wrong: Digest) {
        self.wrong.truncate(MOST_KNOWN - 1);
        self.wrong.push_front(wrong);
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
pub(in crate::web) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Sender {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn numbered(number: u32) -> Sender {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(number)).into()
    }

    const RIGHT: Digest = [0; 32];

    impl Throttle {
        fn show(&mut self, sender: Sender, now: Instant, shown: Digest) -> Result<bool, Duration> {
            self.look(sender, now, shown, |shown| *shown == RIGHT)
        }

        /// Another wrong one each time.
        fn guess(&mut self, sender: Sender, now: Instant) -> Result<bool, Duration> {
            self.show(sender, now, digest(fastrand::u64(1..)))
        }
    }

    fn digest(number: u64) -> Digest {
        let mut digest = [1; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn each_mistake_after_the_third_doubles_the_wait() {
        let mut throttle = Throttle::default();
        let (who, mut now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            assert_eq!(throttle.guess(who, now), Ok(false));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(throttle.look(who, now, RIGHT, |_| panic!("it is not looked at")), Err(wait));
            now += wait;
            assert_eq!(throttle.guess(who, now), Ok(false), "after {wait:?}");
        }
    }

    #[test]
    fn also_the_right_one_is_not_looked_at_while_its_address_waits_and_others_do_not_wait() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            throttle.guess(who, now).unwrap();
        }
        assert!(throttle.show(who, now, RIGHT).is_err());
        assert_eq!(throttle.show(address("192.0.2.2"), now, RIGHT), Ok(true));
        assert_eq!(throttle.show(who, now + Duration::from_secs(1), RIGHT), Ok(true));
    }

    #[test]
    fn who_shares_an_address_with_one_that_guesses_still_comes_in_for_a_day() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(throttle.show(who, now, RIGHT), Ok(true));
        for _ in 0..3 {
            assert_eq!(throttle.guess(who, now), Ok(false));
        }
        assert!(throttle.guess(who, now).is_err(), "one that guesses waits");
        assert_eq!(throttle.show(who, now, RIGHT), Ok(true));
        let late = now + PROVEN_FOR;
        for _ in 0..3 {
            assert_eq!(throttle.guess(who, late), Ok(false));
        }
        assert!(throttle.show(who, late, RIGHT).is_err());
    }

    #[test]
    fn a_program_with_an_old_token_is_none_that_guesses() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        for n in 0..1_000 {
            assert_eq!(throttle.show(who, now, digest(n % 2)), Ok(false));
        }
        assert_eq!(throttle.show(who, now, RIGHT), Ok(true));
    }

    #[test]
    fn where_everybody_has_one_address_they_wait_only_as_all_do() {
        let mut throttle = Throttle::default();
        let (who, now) = (Sender { is_anybody: true, ..address("127.0.0.1") }, Instant::now());
        for _ in 0..FREE_FOR_ALL {
            assert_eq!(throttle.guess(who, now), Ok(false));
        }
        assert_eq!(throttle.show(who, now, RIGHT), Err(Duration::from_secs(1)));
        assert_eq!(throttle.show(who, now + Duration::from_secs(1), RIGHT), Ok(true));
    }

    #[test]
    fn a_person_who_came_in_begins_anew_and_so_does_who_made_no_mistake_for_an_hour() {
        let mut throttle = Throttle::default();
        let (who, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..2 {
            throttle.guess(who, now).unwrap();
        }
        assert_eq!(throttle.show(who, now, RIGHT), Ok(true));
        throttle.forgive(who.address);
        for _ in 0..3 {
            assert_eq!(throttle.guess(who, now), Ok(false));
        }
        let later = now + FORGOTTEN_AFTER;
        for _ in 0..3 {
            assert_eq!(throttle.guess(who, later), Ok(false));
        }
        assert!(throttle.guess(who, later).is_err());
    }

    #[test]
    fn very_many_addresses_wait_together_but_not_one_that_has_shown_the_right_one() {
        let mut throttle = Throttle::default();
        let (owner, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(throttle.show(owner, now, RIGHT), Ok(true));
        for n in 0..30_u32 {
            assert_eq!(throttle.guess(numbered(0x0a00_0000 + n), now), Ok(false), "{n}");
        }
        assert!(throttle.show(address("198.51.100.7"), now, RIGHT).is_err());
        assert_eq!(throttle.show(owner, now, RIGHT), Ok(true));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_an_address_is_one_in_both_its_forms() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 1..=3 {
            throttle.guess(address(&format!("2001:db8::{n}")), now).unwrap();
            throttle.guess(address("::ffff:192.0.2.1"), now).unwrap();
        }
        assert!(throttle.guess(address("2001:db8::99"), now).is_err());
        assert_eq!(throttle.guess(address("2001:db8:0:1::1"), now), Ok(false));
        assert!(throttle.guess(address("192.0.2.1"), now).is_err());
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut throttle = Throttle::default();
        let mut now = Instant::now();
        for n in 0..10_000_u32 {
            now += LONGEST_FOR_ALL;
            assert_eq!(throttle.guess(numbered(n), now), Ok(false));
        }
        assert!(throttle.addresses.len() <= MOST_ADDRESSES);
    }
}
