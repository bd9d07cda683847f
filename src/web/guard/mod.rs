//! Who may come in: the token, the login, the host that was asked for, and where a form was sent from.

mod headers;
mod login;
mod place;
mod refusal;
mod session;
mod throttle;

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, SET_COOKIE};
use axum::http::{Extensions, HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;
use tower_http::compression::CompressionLayer;
use tracing::{error, warn};
use url::Url;

use self::place::Names;
use self::refusal::ask_to_wait;
pub(super) use self::refusal::refuse;
pub(super) use self::session::COOKIE_NAME;
pub(super) use self::throttle::network;
use self::throttle::{Sender, Throttle};
use super::Shared;
use crate::model::Secret;

/// The longest body of a request.
const MOST_BODY_BYTES: usize = 64 << 10;

/// A body has to be here by then.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

const WRONG_HOST: &str = "This host is not known here. If it is how you reach Stakeout, set `public_url` in the \
    table `[web]` of its configuration.";

const FROM_ELSEWHERE: &str = "This was not sent from a page of Stakeout, so nothing was done. If it was, set \
    `public_url` in the table `[web]` of its configuration to the address that your browser shows.";

const TOKEN_WANTED: &str =
    "This wants the token of `[web]`: `Authorization: Bearer TOKEN`, or a login at /login.";

const DATABASE_REFUSES: &str = "The database does not answer; the daemon's log says why.";

const BUG: &str = "This is a mistake in Stakeout; the daemon's log says more.";

/// What the guard goes by.
pub(super) struct Guard {
    /// Of the token, where one is asked for.
    digest: Option<[u8; 32]>,
    names: Names,
    throttle: Mutex<Throttle>,
}

/// Who sends a request.
enum Caller {
    /// Somebody who may: there is no token, or it was shown.
    Known,
    /// Somebody who has logged in; with the cookie, where it now holds for longer.
    LoggedIn(Option<String>),
    /// Too many wrong tokens came from there.
    Waits(Duration),
    Unknown,
}

impl Guard {
    pub(super) fn new(token: Option<&Secret>, listens_on: SocketAddr, public: Option<Url>) -> Self {
        Self {
            digest: token.map(|token| digest(token.expose())),
            names: Names::new(listens_on, public),
            throttle: Mutex::default(),
        }
    }

    /// Whether this is the token, unless too many wrong ones came from there.
    ///
    /// # Errors
    /// How long whoever shows it has to wait.
    fn try_token(&self, from: Sender, shown: &str, now: Instant) -> Result<bool, Duration> {
        let Some(token) = self.digest else { return Ok(true) };
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        // Digests have one length, so that nothing of the token's own can be measured.
        let looked = throttle.look(from, now, digest(shown), |shown| shown.ct_eq(&token).into());
        if looked == Ok(false) {
            metrics::counter!("stakeout_wrong_tokens_total").increment(1);
            warn!(from = %from.address, "A wrong token was shown");
        }
        looked
    }

    fn forgive(&self, from: Sender) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).forgive(from.address);
    }

    /// Where a request comes from. What stands before the server on the same machine says for whom it asks; where it
    /// does not, that may be anybody.
    fn origin_of(&self, extensions: &Extensions, headers: &HeaderMap) -> Sender {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0; 4]), |ConnectInfo(peer)| peer.ip().to_canonical());
        if !(peer.is_loopback() && self.names.has_public()) {
            return peer.into();
        }
        let passed_on = headers.get_all("x-forwarded-for").iter().next_back();
        let last = passed_on.and_then(|list| list.to_str().ok()).and_then(|list| list.rsplit(',').next());
        let address: Option<IpAddr> = last.and_then(|address| address.trim().parse().ok());
        address.map_or(Sender { address: peer, is_anybody: true }, Sender::from)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The pages of logging in and out.
pub(super) fn router() -> Router<Shared> {
    login::router()
}

/// Puts the guard around everything: the token or a login around what is guarded, the rest around both.
pub(super) fn protect(guarded: Router<Shared>, open: Router<Shared>, shared: &Shared) -> Router<Shared> {
    // Also around what there is not: a stranger learns nothing of it. So the guarded one is merged into the other,
    // whose own answer to that gives way.
    open.merge(guarded.layer(from_fn_with_state(shared.clone(), ask_who)))
        .layer(from_fn_with_state(shared.clone(), check))
        .layer(from_fn(answer_in_any_case))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(shared.clone(), headers::put_on))
}

/// A mistake of ours that ends in a panic is answered too, and nothing else ends with it.
async fn answer_in_any_case(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().copied();
            let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            error!(path, panic = words.unwrap_or_default(), "A request ended in a panic: this is a bug");
            refuse(&path, StatusCode::INTERNAL_SERVER_ERROR, BUG)
        }
    }
}

/// Lets pass what asks for this server by name, comes from one of its pages or from no page, and is not too large.
async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if matches!(path, "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let names = &shared.guard.names;
    let (uri, headers) = (request.uri(), request.headers());
    if !names.allow(uri, headers) {
        // Whoever knows the token is no page of somebody else: Prometheus may ask by a name of its own network.
        let from = shared.guard.origin_of(request.extensions(), headers);
        let shown = bearer(headers).filter(|_| shared.token.is_some());
        match shown.map(|token| shared.guard.try_token(from, token, Instant::now())) {
            Some(Ok(true)) => {}
            Some(Err(wait)) => return ask_to_wait(path, wait),
            Some(Ok(false)) | None => return refuse(path, StatusCode::MISDIRECTED_REQUEST, WRONG_HOST),
        }
    }
    if !names.comes_from_here(request.method(), uri, headers) {
        return refuse(path, StatusCode::FORBIDDEN, FROM_ELSEWHERE);
    }
    match whole(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

/// Takes the body before anybody waits for it: none is long, and who sends it slowly is not waited for.
async fn whole(request: Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let too_long = || {
        let sentence = format!("A request may have {} KiB.", MOST_BODY_BYTES >> 10);
        refuse(path, StatusCode::PAYLOAD_TOO_LARGE, &sentence)
    };
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MOST_BODY_BYTES as u64) {
        return Err(too_long());
    }
    match timeout(BODY_PATIENCE, axum::body::to_bytes(body, MOST_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => Err(refuse(path, StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.")),
    }
}

/// Lets pass who has shown the token or has logged in.
async fn ask_who(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match who(&shared, request.extensions(), request.headers()).await {
        Ok(Caller::Known | Caller::LoggedIn(None)) => next.run(request).await,
        Ok(Caller::LoggedIn(Some(cookie))) => {
            let mut response = next.run(request).await;
            if let Ok(cookie) = cookie.parse() {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Ok(Caller::Waits(wait)) => ask_to_wait(request.uri().path(), wait),
        Ok(Caller::Unknown) => turn_away(&request),
        Err(error) => {
            error!(%error, "Who asks could not be told");
            refuse(request.uri().path(), StatusCode::SERVICE_UNAVAILABLE, DATABASE_REFUSES)
        }
    }
}

/// Whether the figures may be shown; else what is answered.
///
/// # Errors
/// What is answered.
pub(super) async fn let_see_figures(
    shared: &Shared,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<(), Box<Response>> {
    let path = "/metrics";
    Err(Box::new(match who(shared, extensions, headers).await {
        Ok(Caller::Known | Caller::LoggedIn(_)) => return Ok(()),
        Ok(Caller::Waits(wait)) => ask_to_wait(path, wait),
        Ok(Caller::Unknown) => refuse(path, StatusCode::UNAUTHORIZED, TOKEN_WANTED),
        Err(_) => refuse(path, StatusCode::SERVICE_UNAVAILABLE, DATABASE_REFUSES),
    }))
}

async fn who(shared: &Shared, extensions: &Extensions, headers: &HeaderMap) -> Result<Caller, sqlx::Error> {
    if shared.guard.digest.is_none() {
        return Ok(Caller::Known);
    }
    if let Some(shown) = bearer(headers) {
        let from = shared.guard.origin_of(extensions, headers);
        return Ok(match shared.guard.try_token(from, shown, Instant::now()) {
            Ok(true) => Caller::Known,
            Ok(false) => Caller::Unknown,
            Err(wait) => Caller::Waits(wait),
        });
    }
    session::find(shared, headers, Timestamp::now()).await.map(|found| match found {
        Some(cookie) => Caller::LoggedIn(cookie),
        None => Caller::Unknown,
    })
}

/// A program is told what is wanted, a person is led to the login.
fn turn_away(request: &Request) -> Response {
    let path = request.uri().path();
    if refusal::is_for_programs(path) {
        return refuse(path, StatusCode::UNAUTHORIZED, TOKEN_WANTED);
    }
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    let next = request.uri().path_and_query().filter(|_| is_look).map_or("/", |next| next.as_str());
    let login = login::address(&place::local_path(next));
    if is_look && may_have_held_back(request.headers()) {
        return login::once_more(&login).into_response();
    }
    Redirect::to(&login).into_response()
}

/// Whether a browser may have kept its cookie to itself, since the link stood on a page of somebody else. It says
/// where that stood only to HTTPS and to its own machine.
fn may_have_held_back(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "cross-site",
        None => headers
            .get_all(ACCEPT)
            .iter()
            .any(|kinds| kinds.to_str().is_ok_and(|kinds| kinds.contains("text/html"))),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test]
    async fn a_request_that_ends_in_a_panic_is_answered() {
        async fn broken() -> StatusCode {
            panic!("this is a test")
        }
        let router = Router::new().route("/api/v1/broken", get(broken)).layer(from_fn(answer_in_any_case));
        let request = Request::get("/api/v1/broken").body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(router).call(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
