//! The data store of changedetection.io: a file of settings, and a folder for each watch and each tag.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Map, Value as Json, json};

use super::changedetection::haul;
use super::draft::{Haul, LeftOut, cleaned};

/// Reads a data store: `changedetection.json`, and a folder a watch.
///
/// # Errors
/// When there is none, or one of its files cannot be read.
pub(super) fn read(folder: &Path) -> anyhow::Result<Haul> {
    let mut broken = Vec::new();
    let mut json = |path: &Path| -> Option<Json> {
        let read = match File::open(path) {
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
                return None;
            }
            Err(error) => Err(error.into()),
            Ok(file) => super::text_in(file).and_then(|text| Ok(serde_json::from_str(&text)?)),
        };
        read.map_err(|error| {
            broken.push(LeftOut::new(cleaned(&path.display().to_string(), 200), format!("{error}")))
        })
        .ok()
    };
    let mut shared = Vec::new();
    let root = ["changedetection.json", "url-watches.json"].iter().find_map(|name| json(&folder.join(name)));
    let mut root = root.unwrap_or_else(|| json!({}));
    let mut paths = paths_in(folder)?;
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        for headers in [path.clone(), path.join("headers.txt")] {
            let name = headers.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("headers") && name.ends_with(".txt") && headers.is_file() {
                let headers = headers.strip_prefix(folder).unwrap_or(&headers).display().to_string();
                shared.push(format!("{}: holds headers; write them into `headers`", cleaned(&headers, 120)));
            }
        }
        if let Some(tag) = json(&path.join("tag.json")) {
            let known = at(&mut root, &["settings", "application", "tags"]);
            known.entry(name.clone()).or_insert(tag);
        }
        let Some(mut watch) = json(&path.join("watch.json")) else { continue };
        let restock = json(&path.join("restock_diff.json"));
        if let (Some(watch), Some(restock)) = (watch.as_object_mut(), restock) {
            let settings = restock.get("restock_diff").cloned().unwrap_or(restock);
            watch.entry("processor_config_restock_diff").or_insert(settings);
        }
        at(&mut root, &["watching"]).entry(name).or_insert(watch);
    }
    if broken.is_empty() && root.get("watching").is_none() {
        bail!("no data store of changedetection.io: neither changedetection.json nor a watch.json a folder");
    }
    // There may be none that can be read; the settings are listed all the same.
    at(&mut root, &["watching"]);
    let mut haul = haul(root).map_err(anyhow::Error::msg)?;
    haul.left_out.append(&mut broken);
    haul.shared.append(&mut shared);
    Ok(haul)
}

fn paths_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// The table at a place, which is made where there is none.
fn at<'j>(value: &'j mut Json, path: &[&str]) -> &'j mut Map<String, Json> {
    let table = match value {
        Json::Object(table) => table,
        other => {
            *other = json!({});
            return at(other, path);
        }
    };
    match path.split_first() {
        None => table,
        Some((first, rest)) => at(table.entry(*first).or_insert_with(|| json!({})), rest),
    }
}
