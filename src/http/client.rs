//! The clients that carry requests: one for each way they can go.

use std::time::Duration;

use super::error::reasons;
use super::{Settings, guard};

pub(super) fn client(settings: &Settings, guarded: bool) -> Result<reqwest::Client, String> {
    let strict = guarded && !settings.allow_private_networks;
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.timeout.min(Duration::from_secs(10)))
        .pool_max_idle_per_host(settings.max_concurrent.clamp(4, 64))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::custom(move |attempt| {
            if !guarded {
                return attempt.stop();
            }
            if attempt.previous().len() > 10 {
                return attempt.error("more than 10 redirects");
            }
            if strict && let Err(why) = guard::check(attempt.url()) {
                return attempt.error(why);
            }
            attempt.follow()
        }));
    if strict {
        builder = builder.dns_resolver(guard::PublicOnly);
    }
    if let Some(proxy) = settings.proxy.as_ref().filter(|_| guarded) {
        let proxy = reqwest::Proxy::all(proxy.as_str())
            .map_err(|error| format!("`proxy` cannot be used: {}", error.without_url()))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| format!("cannot set up HTTPS: {}", reasons(&error)))
}
