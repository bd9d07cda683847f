//! The program under load, with receivers that refuse, delay and limit, killed at any moment. What the
//! server showed while the daemon could see it is told; nothing is told twice but what was being sent at a
//! kill; what began has ended or is still so.
//!
//! The long form: `cargo test --test it torture -- --ignored --nocapture`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::harness::{Answer, Post, Process, Stage, number, until_within};

const HOOKS: usize = 4;

/// What has piled up while no process lived long enough to send it takes its time.
const PATIENCE: Duration = Duration::from_secs(240);
const LIMIT: f64 = 500_000.0;

struct Torture {
    stage: Stage,
    chance: fastrand::Rng,
    watches: Vec<Shown>,
    kills: Vec<Instant>,
}

/// What the server shows of one watch: a number above the limit and below it in turn, never the same.
struct Shown {
    step: usize,
    /// How often its page had been served when it changed, or when the present process started.
    since: usize,
    /// The steps that the daemon saw and had committed: asked again by the same process, which only asks
    /// after a run is stored.
    seen: Vec<usize>,
}

fn value(step: usize) -> f64 {
    if step.is_multiple_of(2) { step as f64 } else { 1_000_000.0 + step as f64 }
}

fn path(watch: usize) -> String {
    format!("/n{watch}")
}

impl Torture {
    async fn new(watches: usize) -> Self {
        let mut toml = String::new();
        for hook in 0..HOOKS {
            write!(toml, "[notify.hook{hook}]\nkind = \"webhook\"\nurl = \"{{origin}}/hook/hook{hook}\"\n")
                .unwrap();
        }
        for n in 0..watches {
            write!(
                toml,
                "[watch.n{n}]\nsource = {{ kind = \"json\", url = \"{{origin}}{}\", pointer = \"/n\" }}\n\
                 strategy = [{{ kind = \"threshold\", above = {LIMIT} }}]\nnotify = [\"hook{}\"]\n\
                 every = \"{}ms\"\n",
                path(n),
                n % HOOKS,
                150 + n % 100
            )
            .unwrap();
        }
        let stage = Stage::new(&toml).await;
        let watches = (0..watches)
            .map(|n| {
                stage.site.show(&path(n), number(value(0)));
                Shown { step: 0, since: 0, seen: Vec::new() }
            })
            .collect();
        Self { stage, chance: fastrand::Rng::with_seed(11), watches, kills: Vec::new() }
    }

    /// Receivers that are slow, refuse, and ask to be left alone.
    fn annoy(&mut self) {
        for hook in 0..HOOKS {
            let answers: Vec<Answer> = (0..60)
                .map(|_| {
                    let answer = match self.chance.u8(..) {
                        0..20 => Answer::status(503),
                        20..24 => Answer::status(429).header("retry-after", "1"),
                        _ => Answer::status(204),
                    };
                    answer.after(Duration::from_millis(self.chance.u64(0..12)))
                })
                .collect();
            self.stage.site.answer(&format!("hook{hook}"), answers);
        }
    }

    fn process_started(&mut self) {
        for (n, shown) in self.watches.iter_mut().enumerate() {
            shown.since = self.stage.site.served(&path(n));
        }
    }

    /// Notes which steps were seen, and lets some of those watches go on.
    fn look(&mut self, going_on: bool) {
        for (n, shown) in self.watches.iter_mut().enumerate() {
            if self.stage.site.served(&path(n)) < shown.since + 2 {
                continue;
            }
            if shown.seen.last() != Some(&shown.step) {
                shown.seen.push(shown.step);
            }
            if going_on && self.chance.u8(..) < 12 {
                shown.step += 1;
                self.stage.site.show(&path(n), number(value(shown.step)));
                shown.since = self.stage.site.served(&path(n));
            }
        }
    }

    async fn play_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.look(true);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn run(mut self, kills: usize) -> Counts {
        for _ in 0..kills {
            self.annoy();
            let mut process = Process::run(&self.stage, &[]);
            self.process_started();
            // Mostly in the middle of its work, sometimes while it starts.
            let life = Duration::from_millis(self.chance.u64(100..2_200));
            self.play_for(life).await;
            process.kill().await;
            self.kills.push(Instant::now());
        }
        let mut process = Process::run(&self.stage, &[]);
        self.process_started();
        let all = self.watches.len();
        until_within(PATIENCE, "every watch was seen after the last kill", async || {
            self.look(false);
            let seen = self.watches.iter().filter(|shown| shown.seen.last() == Some(&shown.step)).count();
            (seen == all).then_some(())
        })
        .await;
        let waiting = "select count(*) from delivery where status in ('pending', 'sending')";
        until_within(PATIENCE, "nothing waits to be sent", async || {
            (self.stage.count(waiting).await == 0).then_some(())
        })
        .await;
        process.signal("TERM");
        assert_eq!(process.exit().await.code(), Some(0), "{}", process.log());
        assert_eq!(self.stage.count("select count(*) from delivery where status = 'dead'").await, 0);
        self.count()
    }

    /// Holds what was received against what was shown.
    fn count(&self) -> Counts {
        let mut messages: Vec<Post> = self.stage.site.messages();
        messages.sort_by_key(|post| post.at);
        let mut counts = Counts { kills: self.kills.len(), messages: messages.len(), ..Counts::default() };
        counts.refused = (0..HOOKS)
            .map(|hook| {
                self.stage.site.posts(&format!("hook{hook}")).iter().filter(|p| !p.was_taken()).count()
            })
            .sum();
        let mut last: HashMap<String, Instant> = HashMap::new();
        let mut told: HashMap<(usize, usize), String> = HashMap::new();
        let mut heard: Vec<Vec<(bool, usize)>> = vec![Vec::new(); self.watches.len()];
        let mut repeats: HashMap<usize, usize> = HashMap::new();
        for post in &messages {
            let id = post.id();
            if let Some(before) = last.insert(id.clone(), post.at) {
                let kill = self.kills.iter().position(|kill| before < *kill && *kill < post.at);
                let kill = kill.unwrap_or_else(|| panic!("{id} was repeated without a kill"));
                *repeats.entry(kill).or_default() += 1;
                counts.repeats += 1;
                continue;
            }
            for alert in post.alerts() {
                let watch: usize = alert["watch"].as_str().unwrap().trim_start_matches('n').parse().unwrap();
                let n = alert["signal"]["value"].as_f64().unwrap();
                let step = if n > LIMIT { n - 1_000_000.0 } else { n } as usize;
                let other = told.insert((watch, step), id.clone());
                assert_eq!(other, None, "step {step} of n{watch} was told as two messages");
                heard[watch].push((alert["status"] == "firing", step));
            }
        }
        assert!(repeats.values().all(|repeats| *repeats <= HOOKS), "one is sent at a time: {repeats:?}");
        for (watch, (shown, heard)) in self.watches.iter().zip(&heard).enumerate() {
            for (before, after) in heard.iter().zip(heard.iter().skip(1)) {
                assert!(before.1 < after.1, "n{watch}: an end has overtaken its beginning: {heard:?}");
                assert_ne!(before.0, after.0, "n{watch}: two beginnings, or two ends: {heard:?}");
            }
            assert!(heard.first().is_none_or(|(began, _)| *began), "n{watch}: an end without a beginning");
            for step in &shown.seen {
                counts.seen += 1;
                // The first is below the limit, and no news.
                let is_told = *step == 0 || told.contains_key(&(watch, *step));
                assert!(is_told, "step {step} of n{watch} was seen and never told: {heard:?}");
            }
            counts.opened += heard.iter().filter(|(began, _)| *began).count();
            counts.closed += heard.iter().filter(|(began, _)| !*began).count();
            let is_open = heard.last().is_some_and(|(began, _)| *began);
            assert_eq!(is_open, value(shown.step) > LIMIT, "n{watch} is not as it was told: {heard:?}");
            counts.open += usize::from(is_open);
        }
        assert_eq!(counts.opened, counts.closed + counts.open);
        counts
    }
}

#[derive(Debug, Default)]
struct Counts {
    kills: usize,
    seen: usize,
    messages: usize,
    refused: usize,
    repeats: usize,
    opened: usize,
    closed: usize,
    open: usize,
}

fn print(counts: &Counts) {
    println!(
        "{} kills; {} changes seen, all told; {} messages taken, {} refused; {} repeated, each in flight at a \
         kill; {} episodes opened: {} closed, {} still so",
        counts.kills,
        counts.seen,
        counts.messages,
        counts.refused,
        counts.repeats,
        counts.opened,
        counts.closed,
        counts.open
    );
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_repeated_under_load_and_kills() {
    let counts = Torture::new(200).await.run(6).await;
    print(&counts);
    assert!(counts.opened > 100 && counts.refused > 0, "it was at work: {counts:?}");
}

#[tokio::test]
#[ignore = "takes about two minutes; the short form runs with the others"]
async fn nothing_is_lost_and_nothing_repeated_under_load_and_sixty_kills() {
    let counts = Torture::new(200).await.run(60).await;
    print(&counts);
    assert!(counts.opened > 1_000 && counts.refused > 0, "it was at work: {counts:?}");
}
