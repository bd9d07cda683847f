//! What fuzzing looks for, in short: our seeds, every captured reply, and what becomes of each when it is
//! damaged go through every parser. What `fuzz/run` finds becomes a seed in `fuzz/corpus/`, named after what it
//! broke.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use stakeout::fuzzing;

/// How many bytes of damaged copies are read for each seed of ours, and for each captured reply.
const BYTES_OF_OURS: usize = 60_000;
const BYTES_OF_CAPTURED: usize = 20_000;
/// No answer may keep a parser busy for longer, without optimizations and on a machine with much else to do.
const LONGEST: Duration = Duration::from_secs(20);
/// How many copies of one seed at most.
const COPIES: usize = 200;

macro_rules! targets {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        mod keeps_its_promises_whatever_it_reads {
            $(#[test]
            fn $target() {
                super::read_all(stringify!($target));
            })*
        }
    };
}

targets! {
    binance coinbase finnhub json kraken newegg ny_gas page shop socrata yahoo
    reply numbers dates crontab hours quiet_hours lengths config
}

#[test]
fn every_parser_is_fuzzed_and_has_seeds() {
    let targets: BTreeSet<String> = fuzzing::names().map(str::to_owned).collect();
    let known: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(known, targets, "the targets in this file");
    assert_eq!(named(&fuzz().join("corpus")), targets, "fuzz/corpus");
    assert_eq!(named(&fuzz().join("fuzz_targets")), targets, "fuzz/fuzz_targets");
    let manifest: toml::Table =
        toml::from_str(&fs::read_to_string(fuzz().join("Cargo.toml")).unwrap()).unwrap();
    let bins = manifest["bin"].as_array().unwrap().iter();
    let bins: BTreeSet<String> = bins.map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(bins, targets, "fuzz/Cargo.toml");
    for target in &targets {
        let code = fs::read_to_string(fuzz().join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(code.contains(&format!("\"{target}\"")), "fuzz_targets/{target}.rs runs another target");
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What lies in a folder, without what follows a dot.
fn named(folder: &Path) -> BTreeSet<String> {
    files(folder).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Gives everything there is to one parser.
fn read_all(target: &str) {
    let mut seeds: Vec<(String, Vec<u8>)> = Vec::new();
    for path in files(&fuzz().join("corpus").join(target)) {
        seeds.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
    }
    assert!(!seeds.is_empty(), "no seeds");
    let ours = seeds.len();
    seeds.extend(captured(target));
    let mut rng = Rng::with_seed(4);
    for (index, (name, seed)) in seeds.iter().enumerate() {
        read(target, name, seed);
        let bytes = if index < ours { BYTES_OF_OURS } else { BYTES_OF_CAPTURED };
        for copy in 0..(bytes / seed.len().max(1)).min(COPIES) {
            let (_, other) = &seeds[rng.usize(..seeds.len())];
            read(target, &format!("{name}, damaged copy {copy}"), &damaged(seed, other, &mut rng));
        }
    }
}

/// The captured replies for a source, in each of its configurations.
fn captured(target: &str) -> Vec<(String, Vec<u8>)> {
    let Some(fixtures) = std::env::var_os("STAKEOUT_FIXTURES").map(PathBuf::from) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "STAKEOUT_FIXTURES has to say where the captured replies are"
        );
        writeln!(
            std::io::stderr().lock(),
            "skipped: STAKEOUT_FIXTURES is not set, so only our own seeds are read"
        )
        .unwrap();
        return Vec::new();
    };
    let (folders, beginnings): (&[&str], &[&str]) = match target {
        "json" => (&["cryptowatch"], &["00", "10", "20", "30"]),
        "shop" | "page" => (&["shops"], &["00", "10", "20"]),
        "socrata" => (&["ny_gas"], &["00"]),
        "reply" => (&["newegg", "shops", "yahoo"], &["200 https://a.example/\n\n"]),
        folder if fixtures.join(folder).is_dir() => (&[folder][..], &["00", "10", "20", "30", "40", "01"]),
        _ => return Vec::new(),
    };
    let paths = folders.iter().flat_map(|folder| files(&fixtures.join(folder)));
    let mut seeds = Vec::new();
    for path in paths.filter(|path| path.is_file()) {
        let body = fs::read(&path).unwrap();
        // The largest ones take long, and read alike in every configuration.
        let beginnings = if body.len() > 30_000 { &beginnings[..1] } else { beginnings };
        for beginning in beginnings {
            seeds.push((path.display().to_string(), [beginning.as_bytes(), &body].concat()));
        }
    }
    seeds
}

/// A copy of a seed with some bytes changed, left out, doubled, or taken from another.
fn damaged(seed: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut copy = seed.to_vec();
    for _ in 0..rng.usize(1..=4) {
        let (from, until) = stretch(&copy, 64, rng);
        match rng.u8(..6) {
            0 => copy.truncate(from),
            1 => drop(copy.drain(from..until)),
            2 => copy[from..until].iter_mut().for_each(|byte| *byte ^= 1 << rng.u8(..8)),
            3 => {
                let again = copy[from..until].repeat(rng.usize(1..=100));
                copy.splice(until..until, again);
            }
            4 => {
                let (first, last) = stretch(other, 4_000, rng);
                copy.splice(from..until, other[first..last].iter().copied());
            }
            _ => {
                let strange = STRANGE[rng.usize(..STRANGE.len())];
                copy.splice(from..until, strange.bytes());
            }
        }
    }
    copy
}

const STRANGE: &[&str] = &[
    "",
    "\0",
    "\u{7}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "NaN",
    "[[[[",
    "}}",
    "\"",
    "<div>",
    "</",
    "<!--",
    "&#0;",
    "]]>",
    "${",
    "9999-12-31",
    "  ",
    "\n\n",
];

/// The ends of a stretch of no more than so many bytes.
fn stretch(bytes: &[u8], most: usize, rng: &mut Rng) -> (usize, usize) {
    let from = rng.usize(..=bytes.len());
    (from, from + rng.usize(..=most.min(bytes.len() - from)))
}

/// Gives these bytes to one parser; where they break it or keep it busy, says where they are kept.
fn read(target: &str, name: &str, bytes: &[u8]) {
    let began = Instant::now();
    let broke = catch_unwind(|| fuzzing::run(target, bytes)).is_err();
    let took = began.elapsed();
    if broke || took > LONGEST {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broke-{target}"));
        fs::write(&kept, bytes).unwrap();
        let what = if broke { "breaks on" } else { "is too slow on" };
        panic!("`{target}` {what} {name} after {took:?}; the bytes are kept in {}", kept.display());
    }
}
