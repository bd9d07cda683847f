//! `stakeout plan`

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};

use super::ConfigFile;
use super::once::count;
use super::table::table;
use crate::run::meaning;
use crate::store::{Store, StoredWatch};
use crate::watchlist::{Watch, Watchlist};

#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// What would become of one watch.
#[derive(Debug, PartialEq, Serialize)]
struct Step {
    watch: String,
    change: Change,
    /// Its former name, where it is renamed.
    was: Option<String>,
    /// The keys that differ.
    keys: Vec<String>,
    /// Strategies that begin anew, because they or the source mean something else.
    restarted: Vec<String>,
    /// How many open alerts end with a note at most.
    open_alerts: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Added,
    Changed,
    Disabled,
    Enabled,
    Renamed,
    Removed,
}

impl Plan {
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let watchlist = self.config.load().await?;
        let notifiers = watchlist.notifiers.keys().cloned().collect();
        let (stored, unsent) = match Store::open_existing(&watchlist.daemon.data_dir).await? {
            Some(store) => {
                let found = (store.stored_watches().await?, store.deliveries_without(notifiers).await?);
                store.close().await;
                found
            }
            None => Default::default(),
        };
        let steps = steps(&watchlist, &stored);
        let unchanged = watchlist
            .watches
            .len()
            .saturating_sub(steps.iter().filter(|s| s.change != Change::Removed).count());
        let mut out = std::io::stdout().lock();
        if self.json {
            let plan = serde_json::json!({"steps": steps, "unchanged": unchanged, "unsent": unsent});
            writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        for (notifier, waiting) in &unsent {
            let waiting = count(*waiting, "message");
            writeln!(
                out,
                "No notifier `{notifier}` is configured any more; {waiting} for it will not be sent."
            )?;
        }
        if steps.is_empty() {
            let stay = match unchanged {
                1 => "1 watch stays as it is".to_owned(),
                several => format!("{several} watches stay as they are"),
            };
            let nothing = if unsent.is_empty() { "Nothing would change" } else { "No watch would change" };
            writeln!(out, "{nothing}: {stay}.")?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<Vec<String>> = steps.iter().map(Step::row).collect();
        writeln!(out, "{}", table(&["", "WATCH", "WHAT"], &rows))?;
        let of = |change| steps.iter().filter(|step| step.change == change).count();
        writeln!(
            out,
            "A reload would add {}, change {}, rename {}, remove {}; {unchanged} stay as they are.",
            of(Change::Added),
            of(Change::Changed).saturating_add(of(Change::Disabled)).saturating_add(of(Change::Enabled)),
            of(Change::Renamed),
            of(Change::Removed),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Step {
    fn row(&self) -> Vec<String> {
        let sign = match self.change {
            Change::Added => "+",
            Change::Removed => "-",
            Change::Renamed => ">",
            Change::Changed | Change::Disabled | Change::Enabled => "~",
        };
        let mut what: Vec<String> = vec![match (self.change, &self.was) {
            (Change::Added, _) => "new".into(),
            (Change::Removed, _) => "removed; its history stays".into(),
            (Change::Renamed, Some(was)) => format!("was `{was}`, keeps its history"),
            (Change::Disabled, _) => "disabled".into(),
            (Change::Enabled, _) => "enabled again".into(),
            (Change::Changed | Change::Renamed, _) => String::new(),
        }];
        if !self.keys.is_empty() {
            what.push(format!("changed: {}", self.keys.join(", ")));
        }
        if !self.restarted.is_empty() {
            what.push(format!("begins anew: {}", self.restarted.join(", ")));
        }
        match self.open_alerts {
            0 => {}
            1 => what.push("what is open ends with a note".into()),
            several => what.push(format!("what is open ends with a note ({several} at most)")),
        }
        what.retain(|part| !part.is_empty());
        vec![sign.into(), self.watch.clone(), what.join("; ")]
    }
}

/// What a reload would do, in the order of the file, what is removed last.
fn steps(watchlist: &Watchlist, stored: &[StoredWatch]) -> Vec<Step> {
    let by_name: HashMap<&str, &StoredWatch> = stored.iter().map(|row| (row.name.as_str(), row)).collect();
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut steps = Vec::new();
    for watch in &watchlist.watches {
        let was = watch.was.as_deref().filter(|was| {
            !by_name.contains_key(watch.name.as_str()) && by_name.get(was).is_some_and(|row| !row.is_removed)
        });
        let row = by_name.get(was.unwrap_or(&watch.name));
        if let Some(row) = row {
            found.insert(&row.name);
        }
        steps.extend(step(watch, row.filter(|row| !row.is_removed).copied(), was));
    }
    let is_left_out = |name: &str| watchlist.left_out.iter().any(|(left_out, _)| left_out == name);
    let gone = stored
        .iter()
        .filter(|row| !row.is_removed && !found.contains(row.name.as_str()) && !is_left_out(&row.name));
    steps.extend(gone.map(|row| Step {
        watch: row.name.clone(),
        change: Change::Removed,
        was: None,
        keys: Vec::new(),
        restarted: Vec::new(),
        open_alerts: row.open_alerts,
    }));
    steps
}

fn step(watch: &Watch, row: Option<&StoredWatch>, was: Option<&str>) -> Option<Step> {
    let mut step = Step {
        watch: watch.name.clone(),
        change: Change::Added,
        was: was.map(str::to_owned),
        keys: Vec::new(),
        restarted: Vec::new(),
        open_alerts: 0,
    };
    let Some(row) = row else { return Some(step) };
    let same = row.spec_hash == watch.spec_hash();
    if !same {
        let (old, new) = (keys_of(&row.spec), keys_of(&watch.spec));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        step.keys = keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
        // A secret, or what all sources of its kind share: neither stands in its table.
        if step.keys.is_empty() {
            step.keys.push("source".into());
        }
        let meaning = meaning(&row.spec, watch);
        step.restarted = meaning.changed;
        if !step.restarted.is_empty() || !meaning.dropped.is_empty() {
            step.open_alerts = row.open_alerts;
        }
    }
    step.change = match (row.enabled, watch.enabled) {
        (true, false) => {
            step.open_alerts = row.open_alerts;
            Change::Disabled
        }
        (false, true) => Change::Enabled,
        _ if was.is_some() => Change::Renamed,
        _ if same => return None,
        _ => Change::Changed,
    };
    Some(step)
}

fn keys_of(spec: &str) -> Map<String, Value> {
    let mut keys: Map<String, Value> = serde_json::from_str(spec).unwrap_or_default();
    // It says where the history comes from, and changes nothing.
    keys.shift_remove("was");
    keys
}
