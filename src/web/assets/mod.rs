//! Style sheets, scripts and icon, under names that hold a hash of what they are: a browser keeps them for good.
//! The scripts import nothing, so that no name stands inside another file.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

use super::Shared;

const FILES: [(&str, &str, &[u8]); 5] = [
    ("style.css", CSS, include_bytes!("style.css")),
    ("chart.css", CSS, include_bytes!("chart.css")),
    ("live.js", SCRIPT, include_bytes!("live.js")),
    ("chart.js", SCRIPT, include_bytes!("chart.js")),
    (ICON, "image/svg+xml", include_bytes!("icon.svg")),
];

const ICON: &str = "icon.svg";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// One that is served.
struct Asset {
    name: &'static str,
    /// `style.0123abcd89ef4567.css`
    hashed: String,
    /// Weak, since it is the same for each compression.
    etag: String,
    kind: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |(name, kind, bytes): (&'static str, &'static str, &'static [u8])| {
        let hash = xxh3_64(bytes);
        let hashed = match name.rsplit_once('.') {
            Some((stem, extension)) => format!("{stem}.{hash:016x}.{extension}"),
            None => format!("{name}.{hash:016x}"),
        };
        Asset { name, hashed, etag: format!("W/\"{hash:016x}\""), kind, bytes }
    };
    FILES.into_iter().map(asset).collect()
});

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/assets/{name}", get(show)).route("/favicon.ico", get(icon))
}

/// Where a browser finds an asset: `/assets/style.0123abcd89ef4567.css` for `style.css`.
pub(super) fn url(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    debug_assert!(asset.is_some(), "there is no asset `{name}`");
    format!("/assets/{}", asset.map_or(name, |asset| &asset.hashed))
}

async fn show(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.hashed == name) {
        Some(asset) => answer(asset, "public, max-age=31536000, immutable", &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What browsers ask for where no page has named an icon.
async fn icon(headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|asset| asset.name == ICON) {
        Some(asset) => answer(asset, "public, max-age=86400", &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(asset: &'static Asset, keep: &'static str, headers: &HeaderMap) -> Response {
    let about = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, keep), (ETAG, asset.etag.as_str())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim() == asset.etag) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_changes_with_what_is_in_the_file() {
        let style = url("style.css");
        let (stem, extension) = style.rsplit_once('.').unwrap();
        assert_eq!(extension, "css");
        let hash = stem.strip_prefix("/assets/style.").unwrap();
        assert_eq!(u64::from_str_radix(hash, 16).unwrap(), xxh3_64(include_bytes!("style.css")));
    }

    #[test]
    fn scripts_import_nothing_and_nothing_is_fetched_from_elsewhere() {
        for (name, kind, bytes) in FILES {
            let text = std::str::from_utf8(bytes).unwrap();
            if kind == SCRIPT {
                let imports = text.lines().any(|line| line.trim_start().starts_with("import "));
                assert!(!imports && !text.contains("import("), "{name}: its name has a hash in it");
            }
            let text = text.replace("http://www.w3.org/", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{name}");
            assert!(!text.contains("@import"), "{name}");
        }
    }
}
