//! Connections, and how much patience there is with each. `axum::serve` sets no limits, so this is its loop with
//! limits: how many there are, in all and from one address, how long a request's head may take and be (`hyper`'s
//! own), how long the other side may not read, and how long what is under way may take at the end. A body has to be
//! here in time too (`guard`).

mod impatient;
mod share;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::impatient::Impatient;
use self::share::Shares;

/// So many at once: as many as may listen to what is new, and some for all else. More wait to be accepted.
const MOST: usize = super::live::MOST_LISTENERS + 256;

/// So many from one address, so that nobody takes them all.
const MOST_OF_ONE: usize = MOST / 4;

/// Who does not read for so long is given up.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// A request's head has to be here by then; a connection that asks nothing for so long is closed.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// The longest head.
const MOST_HEAD_BYTES: usize = 32 << 10;

/// How long an answer that is being put together may take once the daemon stops, and how long one that only has to
/// be read by the other side.
const LAST_PATIENCE: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(1)];

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// How many are open.
pub(super) fn open() -> usize {
    OPEN.load(Ordering::Relaxed)
}

/// One of those that are open, until it is dropped.
struct Counted;

impl Counted {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers until it is stopped, and then what is under way.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let room = Arc::new(Semaphore::new(MOST));
    let shares = Shares::new(MOST_OF_ONE);
    let open = TaskTracker::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(share) = shares.take(peer.ip()) else {
                    debug!(%peer, "A connection was closed: its address has as many as it may");
                    continue;
                };
                let (service, stop) = (service.clone(), stop.clone());
                open.spawn(async move {
                    let _counted = Counted::new();
                    talk(stream, peer, service, stop).await;
                    drop((place, share));
                });
            }
            // Gone already, or there are too many open files.
            Err(error) => {
                warn!(%error, "A connection was not accepted");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

async fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    service: TowerToHyperService<Router>,
    stop: CancellationToken,
) {
    // Events are short, and none waits for the next.
    let _ = stream.set_nodelay(true);
    let is_busy = AtomicBool::new(false);
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, is_busy) = (service.call(request), &is_busy);
        async move {
            is_busy.store(true, Ordering::Relaxed);
            let answer = answer.await;
            is_busy.store(false, Ordering::Relaxed);
            answer
        }
    });
    let mut limits = http1::Builder::new();
    limits.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MOST_HEAD_BYTES);
    let stream = TokioIo::new(Impatient::new(stream, READ_PATIENCE));
    let mut connection = pin!(limits.serve_connection(stream, answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let [busy, idle] = LAST_PATIENCE;
            timeout(if is_busy.load(Ordering::Relaxed) { busy } else { idle }, connection).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%error, "A connection ended early"),
        None => debug!(%peer, "A connection was given up"),
    }
}
