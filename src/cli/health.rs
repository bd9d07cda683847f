//! `stakeout health`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use url::Url;

use super::ConfigFile;
use crate::daemon::{self, Running};
use crate::http::{Http, Request, Settings};

/// A daemon that takes longer to say how it is is not well.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    config: ConfigFile,
}

impl Health {
    /// Does not build the configuration: it may have become wrong since the daemon took it up.
    pub(super) async fn print(&self) -> anyhow::Result<ExitCode> {
        let data_dir = self.config.data_dir()?;
        let looked = daemon::running(&data_dir);
        let looked = looked
            .with_context(|| format!("the data directory {} may not be looked into", data_dir.display()));
        let Some(running) = looked? else {
            bail!(
                "no daemon is running on the data directory {}; one that runs takes up a changed `data_dir` at its \
                 next start",
                data_dir.display()
            );
        };
        match running {
            Running::Starting => bail!("the daemon is starting"),
            Running::Unasked => println!("running; how it is cannot be asked without a web server"),
            Running::At(address) => println!("{}", ask(address).await?),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the daemon says of itself.
async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let reachable = reachable(address);
    let url = Url::parse(&format!("http://{reachable}/readyz")).context("no address to ask")?;
    let own =
        Settings { timeout: PATIENCE, allow_networks: vec![reachable.ip().into()], ..Settings::default() };
    let http = Http::new(own).map_err(anyhow::Error::msg)?;
    let reply = http.send(&Request::get(url)).await.context("the daemon does not say how it is")?;
    let text = String::from_utf8_lossy(&reply.body).trim().to_owned();
    if reply.status != 200 {
        bail!("not well: {}", text.replace('\n', "; "));
    }
    Ok(text)
}

/// Who listens everywhere is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
