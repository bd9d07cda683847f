//! The table of commands. A file a family of commands; exit codes: 0 done, 1 failed while running, 2 the
//! configuration or the call is wrong.

mod backup;
mod check;
mod explain;
mod health;
mod import;
mod install;
mod kinds;
mod look;
mod once;
mod outbox;
mod plan;
mod replay;
mod run;
mod schema;
mod silence;
mod slots;
mod table;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

use crate::config::{self, LogFormat, Mistakes};
use crate::store::Store;
use crate::watchlist::Watchlist;

/// Watches markets, shop shelves and public price data, and tells you the moment it matters.
#[derive(Debug, Parser)]
#[command(name = "stakeout", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Run the daemon on a temporary database against services that it plays itself
    Demo {
        /// Stop after so many seconds instead of at Ctrl-C
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    },
    /// Read the configuration, build everything, print each watch's next three ticks
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// What a reload of the configuration would change
    Plan(plan::Plan),
    /// Run one watch now and print what it sees
    Once(once::Once),
    /// What was seen; with --slots, what became of every slot
    History(look::History),
    /// What was told
    Alerts(look::Alerts),
    /// Why something was told or not: the last run of a watch, or the one at a moment, step by step
    Explain(explain::Explain),
    /// What would have been told: the stored history through the strategies, without sending anything
    Replay(replay::Replay),
    /// Messages that wait or were given up
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Keep the beginnings of something quiet for a while
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// The watchlist: what is watched, and watches beside those of the configuration file
    #[command(subcommand)]
    Watch(watch::WatchCommand),
    /// Copy the database, also while the daemon runs
    Backup(backup::Backup),
    /// Try a notifier
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Every source, strategy and notifier in a line each; one of them with its keys and an example
    Kinds {
        /// Only this one
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Watches from another program: urlwatch, webchanges, changedetection.io, or a list of addresses
    Import(import::Import),
    /// Whether the daemon is well: exit code 0 when every part of it moves
    Health(health::Health),
    /// The JSON Schema of the configuration, for editors
    Schema,
    /// Completions of commands for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Manual {
        /// The folder, which is made where it is missing
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// Send one test message and print the service's answer
    Test {
        /// The notifier's name in `[notify.NAME]`
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    ///
    /// Left out: `config.toml`, or /etc/stakeout/config.toml where there is none.
    #[arg(short = 'c', long = "config", value_name = "FILE", env = "STAKEOUT_CONFIG")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// The configuration, with the watches that were added beside it.
    async fn load(&self) -> anyhow::Result<Watchlist> {
        self.load_trying(None).await
    }

    /// With other strategies for one watch.
    async fn load_trying(&self, tried: Option<(&str, &str)>) -> anyhow::Result<Watchlist> {
        let of_files = match self.load_files(None) {
            Ok(of_files) => of_files,
            // Whatever is wrong is told at once.
            Err(error) if tried.is_none() => return Err(error),
            Err(_) => return self.load_files(tried),
        };
        let added = match Store::open_existing(&of_files.daemon.data_dir).await? {
            Some(store) => {
                let added = store.added_watches().await?;
                store.close().await;
                added
            }
            None => Vec::new(),
        };
        let joined = if added.is_empty() { of_files } else { of_files.joined_by(&added) };
        for (name, why) in &joined.left_out {
            eprintln!(
                "warning: watch `{name}`, which was added, cannot be run beside this configuration: {why}"
            );
        }
        match tried {
            Some(tried) => Ok(joined.with(&joined.added(), Some(tried))?),
            None => Ok(joined),
        }
    }

    /// What stands in files.
    fn load_files(&self, tried: Option<(&str, &str)>) -> anyhow::Result<Watchlist> {
        let path = self.existing()?;
        Ok(Watchlist::load_trying(&path, tried)?)
    }

    /// The file, which must be there.
    fn existing(&self) -> anyhow::Result<PathBuf> {
        let path = self.path();
        if !path.exists() {
            return Err(Misuse(format!(
                "there is no configuration at {}; name it with -c FILE, or start from config.example.toml",
                path.display()
            ))
            .into());
        }
        Ok(path)
    }

    /// Where the data lie, also while there are mistakes in the configuration: whoever only looks at them, or copies
    /// them, needs no more.
    fn data_dir(&self) -> anyhow::Result<PathBuf> {
        let path = self.existing()?;
        let found = config::data_dir_of(&path);
        Ok(found.map_err(|why| Misuse(format!("it is not known where the data lie: {why}")))?)
    }

    /// What the watches are called, for a hint: none while there are mistakes.
    async fn names(&self) -> Vec<String> {
        let watches = self.load().await.map(|watchlist| watchlist.watches).unwrap_or_default();
        watches.iter().map(|watch| watch.name.clone()).collect()
    }

    fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(config::usual_path)
    }
}

/// The call is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Hands the arguments to a command, prints the error chain, chooses the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(8).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(dispatch(arguments.command));
    // What hangs on a blocking thread does not keep the program from ending.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            if is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error:#}");
            if error.is::<Mistakes>() || error.is::<Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { config } => run::run(&config).await,
        Command::Demo { seconds } => run::demo(seconds).await,
        Command::Check { config } => check::check(&config, Timestamp::now()).await,
        Command::Plan(plan) => plan.run().await,
        Command::Once(once) => once.run().await,
        Command::History(history) => history.print().await,
        Command::Alerts(alerts) => alerts.print().await,
        Command::Explain(explain) => explain.print().await,
        Command::Replay(replay) => replay.print().await,
        Command::Outbox(outbox) => outbox.run().await,
        Command::Silence(silence) => silence.run().await,
        Command::Watch(watch) => watch.run().await,
        Command::Backup(backup) => backup.run().await,
        Command::Notify(NotifyCommand::Test { name, config }) => once::notify_test(&config, &name).await,
        Command::Kinds { name, json } => kinds::print(name.as_deref(), json),
        Command::Import(import) => import.run(),
        Command::Health(health) => health.print().await,
        Command::Schema => schema::print(),
        Command::Completions { shell } => install::completions(shell),
        Command::Manual { folder } => install::manual(&folder),
    }
}

/// A moment that something is looked for at: one written in whole seconds, as they are shown, means all of
/// that second.
fn whole_second(text: &str) -> Result<Timestamp, String> {
    let at = moment(text)?;
    let is_whole = at.subsec_nanosecond() == 0 && text.parse::<Timestamp>().is_ok();
    Ok(if is_whole { at.checked_add(std::time::Duration::from_millis(999)).unwrap_or(at) } else { at })
}

/// `stakeout history | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Logs go to standard error. `RUST_LOG` goes before the configuration.
fn start_logging(level: &str, format: LogFormat) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    // The library that runs the housekeeping jobs tells its inner life at this level.
    let quiet = "tokio_cron_scheduler=warn";
    let (name, directives) = match std::env::var("RUST_LOG").ok().filter(|given| !given.is_empty()) {
        Some(given) => ("RUST_LOG", given),
        None => ("log_level", format!("{level},{quiet}")),
    };
    let wrong = || Misuse(format!("{name}: `{directives}` {}", config::LOG_LEVELS));
    if !config::is_log_filter(&directives) {
        return Err(wrong().into());
    }
    let filter = EnvFilter::try_new(&directives).map_err(|_| wrong())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// A moment: RFC 3339, or a length of time ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let ago: crate::model::Period = text.parse().map_err(|_| {
        format!("`{text}` is no moment; write it like \"2026-11-21T10:00:00Z\", or \"24h\" for a day ago")
    })?;
    Timestamp::now().checked_sub(ago.0).map_err(|_| format!("`{text}` is too long ago"))
}
