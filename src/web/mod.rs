//! The web server: the dashboard for people, the API for programs, the figures, and whether all is well.

mod api;
mod assets;
mod connections;
mod control;
mod figures;
mod guard;
mod health;
mod live;
mod pages;
mod problem;
mod shared;
mod status;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use control::{Control, Refused};
pub use figures::{collect_figures, keep_figures_small};
pub use shared::Shared;
pub use status::{State, Status};

/// A server that listens and does not serve yet.
pub struct Listening {
    listener: TcpListener,
    /// Where.
    pub address: SocketAddr,
}

/// Listens; nobody is answered before [`Listening::serve`].
///
/// # Errors
/// When the address cannot be listened on.
pub async fn listen(address: SocketAddr) -> std::io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// Serves until it is stopped. Who listens to what is new is not waited for.
    pub async fn serve(self, shared: Shared, stop: CancellationToken) {
        let closing = async {
            stop.cancelled().await;
            shared.live.close();
        };
        tokio::join!(closing, connections::serve(self.listener, router(shared.clone()), stop.clone()));
    }
}

/// Everything that is answered. What lies under the guard wants a token or a login, where there is a token.
fn router(shared: Shared) -> Router {
    let guarded =
        Router::new().merge(pages::router(&shared)).nest("/api", api::router(&shared)).merge(live::router());
    let open = Router::new().merge(health::router()).merge(assets::router()).merge(guard::router());
    guard::protect(guarded, open, &shared).with_state(shared)
}
