//! The line before a host: who asks next. Fair among watches: one that asks for fifty things at once does not
//! keep those waiting that ask for one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The line. Whoever holds the [`Baton`] is next.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Somebody is next.
    is_held: bool,
    /// In the order of rounds; within one, as they came.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<Baton>>,
    /// The last round that each watch stands in.
    rounds: HashMap<i64, u64>,
    /// The round of whoever was next last.
    round: u64,
    came: u64,
}

/// The right to be next; dropping it makes another so.
pub(super) struct Baton {
    line: Option<Arc<Line>>,
}

impl Line {
    /// Waits until it is this watch's turn to be next. Each thing that it asks for stands in a later round than
    /// the one before.
    pub(super) async fn join(self: &Arc<Self>, watch_id: i64) -> Option<Baton> {
        let waiting = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.is_held {
                state.is_held = true;
                return Some(Baton { line: Some(Arc::clone(self)) });
            }
            let last = state.rounds.get(&watch_id).copied().unwrap_or_default();
            let round = last.max(state.round).saturating_add(1);
            state.rounds.insert(watch_id, round);
            state.came = state.came.wrapping_add(1);
            let (sender, receiver) = oneshot::channel();
            let place = (round, state.came);
            state.waiting.insert(place, sender);
            receiver
        };
        waiting.await.ok()
    }

    fn pass_on(self: Arc<Self>) {
        let mut baton = Baton { line: None };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(((round, _), next)) = state.waiting.pop_first() {
            state.round = round;
            baton.line = Some(Arc::clone(&self));
            // Whoever has stopped waiting gives it back.
            match next.send(baton) {
                Ok(()) => return,
                Err(returned) => baton = returned,
            }
            baton.line = None;
        }
        *state = State::default();
    }
}

impl Drop for Baton {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets watches join in this order behind one that is next, and tells in which order they become next.
    async fn order(joined: &[i64]) -> Vec<i64> {
        let line = Arc::new(Line::default());
        let first = line.join(0).await.unwrap();
        let (order, mut became) = tokio::sync::mpsc::unbounded_channel();
        for watch in joined.iter().copied() {
            let (line, order) = (Arc::clone(&line), order.clone());
            tokio::spawn(async move {
                let _baton = line.join(watch).await.unwrap();
                order.send(watch).unwrap();
            });
            tokio::task::yield_now().await;
        }
        drop((first, order));
        let mut seen = Vec::new();
        while let Some(watch) = became.recv().await {
            seen.push(watch);
        }
        seen
    }

    #[tokio::test]
    async fn who_asks_for_much_does_not_keep_the_others_waiting() {
        assert_eq!(order(&[1, 1, 1, 1, 2, 3, 3]).await, [1, 2, 3, 1, 3, 1, 1]);
        assert_eq!(order(&[5, 4, 3, 2, 1]).await, [5, 4, 3, 2, 1]);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_is_passed_over_and_the_line_can_be_joined_again() {
        let line = Arc::new(Line::default());
        let first = line.join(1).await.unwrap();
        for _ in 0..1_000 {
            let gone = line.join(2);
            tokio::select! { biased; _ = gone => panic!("the first is still next"), () = std::future::ready(()) => {} }
        }
        let (waiting, _) = tokio::join!(line.join(3), async { drop(first) });
        drop(waiting.unwrap());
        assert!(line.join(4).await.is_some());
        assert!(line.state.lock().unwrap().rounds.is_empty());
    }
}
