//! Reading answers away from the async threads: as many at once as there are cores, and none for ever.

use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use crate::plugin::FetchError;

/// A page that is larger than any takes a second. What is still being read after so long may never end.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// So long a run waits for those before it to be read; only ones that never end keep it waiting longer.
const LONGEST_QUEUE: Duration = Duration::from_secs(120);

/// The places in which answers are read: a hundred pages that change at once are not a hundred trees in
/// memory.
pub(super) static READERS: LazyLock<Readers> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, usize::from);
    Readers { places: Arc::new(Semaphore::new(cores)), longest: LONGEST_READ, queue: LONGEST_QUEUE }
});

pub(super) struct Readers {
    places: Arc<Semaphore>,
    longest: Duration,
    queue: Duration,
}

impl Readers {
    /// Reads on a blocking thread. What takes too long cannot be stopped and keeps its place until it ends, but
    /// nobody waits for it any more.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let Ok(place) = timeout(self.queue, Arc::clone(&self.places).acquire_owned()).await else {
            warn!("No answer can be read: others are being read that do not come to an end");
            return Err(FetchError::failed(
                "the answer could not be read: others are still being read that do not come to an end",
            ));
        };
        let reading = spawn_blocking(move || {
            let _place = place;
            work()
        });
        match timeout(self.longest, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(panic)) => {
                warn!(error = %panic, "A source panicked");
                Err(FetchError::failed("the answer could not be read: the source broke on it"))
            }
            Err(_) => {
                let seconds = self.longest.as_secs();
                warn!("An answer was not read within {seconds} s; its thread goes on until it ends");
                Err(FetchError::failed(format!("the answer could not be read within {seconds} s")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn readers(places: usize) -> Readers {
        let longest = Duration::from_secs(3_600);
        Readers { places: Arc::new(Semaphore::new(places)), longest, queue: longest }
    }

    fn failed(read: Result<(), FetchError>) -> String {
        read.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn only_so_many_are_read_at_once_and_a_source_that_breaks_leaves_its_place() {
        let readers = readers(2);
        let reads = (0..20).map(|n: usize| {
            let places = Arc::clone(&readers.places);
            readers.read(move || {
                assert!(!n.is_multiple_of(5), "breaks");
                Ok(places.available_permits())
            })
        });
        let read = futures_util::future::join_all(reads).await;
        assert_eq!(read.iter().filter(|read| read.is_err()).count(), 4, "{read:?}");
        assert!(read.iter().flatten().all(|others| *others < 2), "{read:?}");
        assert_eq!(readers.places.available_permits(), 2);
    }

    #[tokio::test]
    async fn what_takes_too_long_fails_its_run_and_keeps_its_place_until_it_ends() {
        let readers = Readers { longest: Duration::ZERO, queue: Duration::ZERO, ..readers(1) };
        let (end, ended) = mpsc::channel::<()>();
        let slow = readers.read(move || {
            ended.recv().ok();
            Ok(())
        });
        assert_eq!(failed(slow.await), "the answer could not be read within 0 s");
        let next = failed(readers.read(|| Ok(())).await);
        assert!(next.contains("others are still being read"), "{next}");
        end.send(()).unwrap();
        let _place = readers.places.acquire().await.unwrap();
    }
}
