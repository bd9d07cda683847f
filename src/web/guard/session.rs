//! A login: 256 random bits in a cookie, of which only a hash is stored. The token goes into the hash, so that
//! another token ends every session.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::super::Shared;
use super::Guard;
use crate::store::{SessionHash, WriteError};

/// The cookie of a person who has logged in.
pub(in crate::web) const COOKIE_NAME: &str = "stakeout_session";

/// How long a session holds since it was used last.
const HOLDS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// That it was used is written down at most once in so long.
const WRITTEN_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Whether a request shows a session; with the cookie anew, where it now holds for longer.
pub(super) async fn find(
    shared: &Shared,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Option<String>>, sqlx::Error> {
    let Some((shown, hash)) = shown(&shared.guard, headers) else { return Ok(None) };
    let Some(expires_at) = shared.store.session(hash, now).await? else { return Ok(None) };
    let later = end(now);
    if later.duration_since(expires_at) < WRITTEN_EVERY {
        return Ok(Some(None));
    }
    if let Err(error) = shared.store.extend_session(hash, later).await {
        warn!(%error, "A session is not extended");
        return Ok(Some(None));
    }
    Ok(Some(Some(cookie((&shared.guard, headers), shown, HOLDS))))
}

/// Begins one, and answers its cookie.
pub(super) async fn begin(shared: &Shared, headers: &HeaderMap, now: Timestamp) -> anyhow::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    let value = BASE64_URL_SAFE_NO_PAD.encode(bits);
    shared.store.begin_session(hash(&shared.guard, &value), now, end(now)).await?;
    Ok(cookie((&shared.guard, headers), &value, HOLDS))
}

/// Ends the one that a request shows, and answers the cookie that takes it away.
pub(super) async fn finish(shared: &Shared, headers: &HeaderMap) -> Result<String, WriteError> {
    if let Some((_, hash)) = shown(&shared.guard, headers) {
        shared.store.end_session(hash).await?;
    }
    Ok(cookie((&shared.guard, headers), "", SignedDuration::ZERO))
}

fn end(now: Timestamp) -> Timestamp {
    now.checked_add(HOLDS).unwrap_or(Timestamp::MAX)
}

/// The token is a part of it, and cannot be guessed by it: what else is in it, nobody can guess.
fn hash(guard: &Guard, value: &str) -> SessionHash {
    let token = guard.digest.unwrap_or_default();
    Sha256::new().chain_update(token).chain_update(value.as_bytes()).finalize().into()
}

fn shown<'h>(guard: &Guard, headers: &'h HeaderMap) -> Option<(&'h str, SessionHash)> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))?;
    Some((value, hash(guard, value)))
}

fn cookie((guard, headers): (&Guard, &HeaderMap), value: &str, holds: SignedDuration) -> String {
    let secure = if guard.names.wants_https(headers) { "; Secure" } else { "" };
    let seconds = holds.as_secs();
    format!("{COOKIE_NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}
