//! The example configuration as it is delivered, its services played on this machine in their usual sizes.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use stakeout::demo::Origin;
use stakeout::http::Request;
use tempfile::TempDir;
use url::Url;

use crate::bench::{client, free_address};
use crate::measure::unix_time;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// So long is a result page of Newegg.
const PAGE_BYTES: usize = 600_000;

/// A folder for the database and the configuration, and the services.
pub(super) struct Example {
    pub(super) folder: TempDir,
    pub(super) file: PathBuf,
    pub(super) web: Url,
    played: Arc<Played>,
    _origin: Origin,
}

#[derive(Default)]
struct Played {
    /// When somebody first asked, as nanoseconds of the Unix clock; 0: not yet.
    asked_at: AtomicU64,
    listing: String,
}

impl Played {
    fn note(&self) {
        let now = u64::try_from(unix_time().as_nanos()).unwrap_or(u64::MAX);
        // Whoever asks later changes nothing.
        let _ = self.asked_at.compare_exchange(0, now, Relaxed, Relaxed);
    }
}

impl Example {
    pub(super) async fn start() -> Result<Self> {
        let origin = Origin::start()?;
        let listing = client()?.send(&Request::get(origin.url().join("p/pl")?)).await?.text().into_owned();
        let played = Arc::new(Played { listing, ..Played::default() });
        let services = Router::new()
            .route("/0/public/Ticker", get(ticker))
            .route("/p/pl", get(listing_page))
            .with_state(Arc::clone(&played));
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        tokio::spawn(axum::serve(tokio::net::TcpListener::from_std(listener)?, services).into_future());

        let web = free_address()?;
        // On the disk that holds the build: a folder in memory would not cost what a disk costs.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("config.toml");
        fs::write(&file, pointed_at(&origin.url(), &format!("http://{address}"), &web)?)?;
        Ok(Self { folder, file, web, played, _origin: origin })
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// As if nothing had ever run here.
    pub(super) fn forget(&self) -> Result<()> {
        self.played.asked_at.store(0, Relaxed);
        let folder: &Path = &self.data_dir();
        if folder.exists() {
            fs::remove_dir_all(folder).context("the data of the run before")
        } else {
            Ok(())
        }
    }

    /// When the first of Kraken's or Newegg's answers was asked for, as time of the Unix clock.
    pub(super) fn asked_at(&self) -> Option<Duration> {
        Some(self.played.asked_at.load(Relaxed)).filter(|at| *at > 0).map(Duration::from_nanos)
    }
}

/// The example with other addresses; all else stands as it is delivered, but for a crontab line that rests at
/// weekends.
fn pointed_at(origin: &Url, services: &str, web: &Url) -> Result<String> {
    let origin = origin.as_str().trim_end_matches('/');
    let mut text = EXAMPLE.to_owned();
    for (from, to) in [
        ("https://query1.finance.yahoo.com", origin),
        ("https://data.ny.gov", origin),
        ("https://api.kraken.com", services),
        ("https://www.newegg.com/p/pl", &format!("{services}/p/pl")),
        ("127.0.0.1:8787", web.authority()),
        ("allow_private_networks = false", "allow_private_networks = true"),
        ("*/30 11-21 * * MON-FRI", "*/30 * * * *"),
    ] {
        ensure!(text.contains(from), "`{from}` does not stand in config.example.toml");
        text = text.replace(from, to);
    }
    Ok(text)
}

/// A market, its price and its volume another each minute.
async fn ticker(State(played): State<Arc<Played>>) -> String {
    played.note();
    let wave = (unix_time().as_secs() as f64 / 60.0 * 0.31).sin();
    let (price, volume) = (1.0 + 0.004 * wave, 1e6 * (1.0 + 0.01 * wave));
    format!(
        r#"{{"error":[],"result":{{"COINUSD":{{"a":["{price:.5}","1","1.000"],"b":["{price:.5}","5","5.000"],"c":["{price:.5}","0.00001393"],"v":["{volume:.8}","{volume:.8}"],"p":["{price:.5}","{price:.5}"],"t":[22946,103648],"l":["{price:.5}","{price:.5}"],"h":["{price:.5}","{price:.5}"],"o":"{price:.5}"}}}}}}"#
    )
}

/// The listing with as much script around it as the shop sends, another each time.
async fn listing_page(State(played): State<Arc<Played>>) -> Html<String> {
    played.note();
    let row = format!("{{\"ItemNumber\":\"{}\",\"Features\":[\"8GB GDDR6\"]}},", unix_time().as_nanos());
    let state = row.repeat(PAGE_BYTES / row.len());
    Html(format!("{}<script>window.__initialState__ = [{state}0];</script>", played.listing))
}
