//! What every answer tells a browser not to do. <https://owasp.org/www-project-secure-headers/>

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::super::Shared;
use super::refusal::is_below;

/// Nothing but what the server itself has; no script or style in a page.
const OWN: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Swagger UI writes styles into its page.
const DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), \
         usb=()",
    ),
];

/// For a year a browser that has come by way of HTTPS comes by no other.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Puts them on every answer.
pub(super) async fn put_on(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let policy = policy(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if shared.guard.names.is_https() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn policy(path: &str) -> &'static str {
    if is_below(path, "/api/docs") { DOCS } else { OWN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_to_try_the_api_may_have_styles_of_its_own_and_no_page_scripts() {
        for path in ["/api/docs", "/api/docs/", "/api/docs/index.html"] {
            assert!(policy(path).contains("style-src 'self' 'unsafe-inline'"), "{path}");
        }
        for path in ["/", "/api/docsx", "/api/v1/watches", "/watches/api/docs"] {
            assert!(!policy(path).contains("unsafe"), "{path}");
        }
        for policy in [OWN, DOCS] {
            assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
        }
    }
}
