//! How many connections one address may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::guard::network;

/// Who has how many.
pub(super) struct Shares {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of them, until it is dropped; the ones of this machine are not counted.
pub(super) struct Share {
    from: Option<IpAddr>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// One more; `None` where the address has as many as it may. Of this machine there may be any number: what
    /// stands before the server asks for everybody.
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let from = Some(network(address)).filter(|_| !address.to_canonical().is_loopback());
        if let Some(from) = from {
            let mut open = lock(&self.open);
            let count = open.get(&from).copied().unwrap_or_default();
            if count >= self.most {
                return None;
            }
            open.insert(from, count.saturating_add(1));
        }
        Some(Share { from, open: Arc::clone(&self.open) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(from) = self.from else { return };
        let mut open = lock(&self.open);
        match open.get_mut(&from) {
            Some(count @ 2..) => *count = count.saturating_sub(1),
            _ => drop(open.remove(&from)),
        }
    }
}

fn lock(open: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_a_share_and_who_leaves_makes_room() {
        let shares = Shares::new(2);
        let take = |address: &str| shares.take(address.parse().unwrap());
        let first = take("192.0.2.1");
        let second = take("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").is_none());
        let network = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(take("2001:db8::3").is_none() && take("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let own: Vec<_> = (0..5).map(|_| take("127.0.0.1")).collect();
        assert!(own.iter().all(Option::is_some));
        drop((second, network, own));
        assert!(shares.open.lock().unwrap().is_empty(), "nothing is remembered of who has left");
    }
}
