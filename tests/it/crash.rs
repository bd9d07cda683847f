//! Killed again and again at any moment, the program loses no news and repeats only what was being sent.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::harness::{Answer, Process, Stage, number, until};

const WATCHES: usize = 6;
const KILLS: usize = 24;

/// The number that a watch shows at a step: above the limit and below it in turn, and never the same.
fn shown(step: usize) -> usize {
    if step.is_multiple_of(2) { 1_000_000 + step } else { step }
}

struct Play {
    stage: Stage,
    /// How far each watch has come. It goes on when its news has arrived, so news that is lost stops it.
    steps: [usize; WATCHES],
    arrived: usize,
}

impl Play {
    fn show(&self, watch: usize) {
        self.stage.site.show(&format!("/n{watch}"), number(shown(self.steps[watch]) as f64));
    }

    /// Lets the watches go on whose news has arrived.
    fn go_on(&mut self) {
        let messages = self.stage.site.messages();
        for post in messages.iter().skip(self.arrived) {
            for (watch, value) in news(post) {
                if value == shown(self.steps[watch]) {
                    self.steps[watch] += 1;
                    self.show(watch);
                }
            }
        }
        // A message that is answered late takes an earlier place, so a few are looked at again.
        self.arrived = messages.len().saturating_sub(8);
    }

    async fn play_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.go_on();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The watch and the number of each alert of a message.
fn news(post: &crate::harness::Post) -> Vec<(usize, usize)> {
    let of = |alert: &serde_json::Value| {
        let watch = alert["watch"].as_str().unwrap().trim_start_matches('n').parse().unwrap();
        (watch, alert["signal"]["value"].as_f64().unwrap() as usize)
    };
    post.alerts().iter().map(of).collect()
}

#[tokio::test]
async fn a_killed_daemon_loses_no_news_and_repeats_only_what_was_being_sent() {
    let mut toml = String::new();
    for n in 0..WATCHES {
        toml += &format!(
            "[watch.n{n}]\n\
             source = {{ kind = \"json\", url = \"{{origin}}/n{n}\", pointer = \"/n\" }}\n\
             strategy = [{{ kind = \"threshold\", above = 500000 }}]\n\
             every = \"{}ms\"\n",
            100 + 20 * n
        );
    }
    let mut play = Play { stage: Stage::new(&toml).await, steps: [0; WATCHES], arrived: 0 };
    (0..WATCHES).for_each(|watch| play.show(watch));
    let mut chance = fastrand::Rng::with_seed(7);
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        // Receivers that are slow and sometimes in trouble.
        let answers: Vec<Answer> = (0..20)
            .map(|_| {
                let status = if chance.u8(..) < 40 { 500 } else { 204 };
                Answer::status(status).after(Duration::from_millis(chance.u64(0..25)))
            })
            .collect();
        play.stage.site.answer("hook", answers);
        let mut process = Process::run(&play.stage, &[]);
        // Mostly in the middle of its work, sometimes while it starts.
        play.play_for(Duration::from_millis(chance.u64(60..600))).await;
        process.kill().await;
        kills.push(Instant::now());
    }
    let reached = play.steps;
    let mut process = Process::run(&play.stage, &[]);
    until("every watch goes on after the last kill", async || {
        play.go_on();
        play.steps.iter().zip(reached).all(|(now, then)| *now >= then + 3).then_some(())
    })
    .await;
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0), "{}", process.log());
    assert!(reached.iter().sum::<usize>() > KILLS, "the kills met it at work: {reached:?}");

    let messages = play.stage.site.messages();
    let mut told: HashMap<(usize, usize), HashSet<String>> = HashMap::new();
    let mut repeats = vec![0; KILLS];
    let mut last: HashMap<String, Instant> = HashMap::new();
    for post in &messages {
        for news in news(post) {
            told.entry(news).or_default().insert(post.id());
        }
        if let Some(before) = last.insert(post.id(), post.at) {
            let kill = kills.iter().position(|kill| before < *kill && *kill < post.at);
            let kill = kill.unwrap_or_else(|| panic!("{} was repeated without a crash", post.id()));
            repeats[kill] += 1;
        }
    }
    assert!(repeats.iter().all(|repeats| *repeats <= 1), "one is sent at a time: {repeats:?}");
    for (news, ids) in &told {
        assert_eq!(ids.len(), 1, "{news:?} was told as two messages");
    }
    for (watch, steps) in play.steps.iter().enumerate() {
        for step in 0..*steps {
            assert!(told.contains_key(&(watch, shown(step))), "step {step} of n{watch} was lost");
        }
    }
    assert_eq!(play.stage.count("select count(*) from delivery where status = 'dead'").await, 0);
}
