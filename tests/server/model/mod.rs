//! Random commands by several users against a simple model of the rules. After every command every device of every user
//! must have all events and no more. Sometimes, and at the end, the answers of REST are compared with the model and
//! with what each device made of the events. At the end every device syncs, also from the beginning.
//!
//! The model follows the contract with clients: `commands.rs` contains the possible commands and `generator.rs` their
//! frequency, `state.rs` the state, `permissions.rs` what is allowed, `effects.rs` and `message_effects.rs` what a
//! command changes, `expected_views.rs` what users then see. `client_view.rs` is a client, and `replay.rs` its `sync`.
//! `case.rs` has the server and `users.rs` the users, `requests.rs` sends each command, and `compare.rs` compares.
//! `every_command.rs` runs through all commands one by one, so that none is forgotten.

// A table of rules has one arm for each rule.
#![allow(clippy::match_same_arms, clippy::too_many_lines, clippy::struct_excessive_bools)]

mod case;
mod client_view;
mod commands;
mod compare;
mod effects;
mod every_command;
mod expected_views;
mod generator;
mod message_effects;
mod permissions;
mod replay;
mod requests;
mod state;
mod users;

use crate::support::{Random, TestServer};
use case::World;
use commands::{Command, Step, Text, What};
use generator::{Steps, steps};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Cases of one run, as far as they begin within [`PATIENCE`]. `GREENROOM_MODEL_CASES` says how many it is otherwise,
/// and then they take their time.
const CASES: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(27);

/// Seconds spent on making a failing case smaller, unless `GREENROOM_MODEL_SHRINK` says otherwise.
const SHRINK: u32 = 60;

fn setting(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_users_do_everybody_sees_what_the_rules_say() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::start());
    let mut random = Random::from_environment();
    let seed = [random.next().to_le_bytes(), random.next().to_le_bytes()].concat();
    // only its generator: it would make a failing case smaller step by step, and each attempt costs a second
    let config = ProptestConfig { rng_algorithm: RngAlgorithm::XorShift, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &seed));
    let number = Cell::new(0);
    let run = |steps: &Steps| {
        number.set(number.get() + 1);
        // a panic in the harness is a failure like any other
        let case = AssertUnwindSafe(|| runtime.block_on(run(&server, number.get(), steps)));
        catch_unwind(case).unwrap_or_else(|panic| Err(Failure { at: steps.0.len(), what: said(&panic) }))
    };
    let (began, asked) = (Instant::now(), setting("GREENROOM_MODEL_CASES"));
    for case in 0..asked.unwrap_or(CASES) {
        if asked.is_none() && began.elapsed() > PATIENCE {
            eprintln!("{case} cases of {CASES} on this slow machine");
            break;
        }
        let mut steps = steps().new_tree(&mut runner).unwrap().current();
        if let Err(failure) = run(&steps) {
            eprintln!("case {case} failed: {}; now it is made smaller", failure.what);
            let failure = smaller(&mut steps, failure, run);
            panic!("after {steps:?}\n{}", failure.what);
        }
    }
}

/// What random cases found once, and what they rarely come to.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_out_and_came_back_holds_what_everybody_does() {
    let server = TestServer::start().await;
    let mut world = World::new(&server, 1).await;
    let say = |text| Command::Send { place: 0, what: What::Text(Text::Plain(text)), reply: None, temp: None };
    world.command(0, 0, false, &Command::CreateGroup { with: vec![1, 2], name: 0, temp: None }).await.unwrap();
    for round in 0..5 {
        world.step(&Step::Away { by: 2, device: 0 }).await.unwrap();
        let commands = [
            say(1),
            Command::Remove { place: 0, whom: 2 },
            say(2),
            Command::Add { place: 0, whom: vec![2], role: None },
            say(3),
            Command::React { place: 0, which: 2, emoji: 0 },
        ];
        for command in commands.iter().skip(round) {
            world.command(0, 0, round % 2 == 0, command).await.unwrap();
        }
        world.step(&Step::Back { by: 2, device: 0 }).await.unwrap();
        world.command(1, 1, true, &say(4)).await.unwrap();
        world.look().await.unwrap();
    }
    world.finish(0).await.unwrap();
}

/// A case that went wrong: before which step no other matters, and how.
struct Failure {
    at: usize,
    what: String,
}

async fn run(server: &TestServer, case: u32, steps: &Steps) -> Result<(), Failure> {
    let mut world = World::new(server, case).await;
    for (at, step) in steps.0.iter().enumerate() {
        world.step(step).await.map_err(|what| Failure { at: at + 1, what })?;
    }
    let ended = world.finish(steps.0.len()).await;
    ended.map_err(|error| Failure { at: steps.0.len(), what: format!("at the end: {error}") })
}

/// Leaves out steps, many at once and then few, as long as the case still fails and there is time.
fn smaller(steps: &mut Steps, mut failure: Failure, run: impl Fn(&Steps) -> Result<(), Failure>) -> Failure {
    let until = Instant::now() + Duration::from_secs(setting("GREENROOM_MODEL_SHRINK").unwrap_or(SHRINK).into());
    steps.0.truncate(failure.at);
    let mut chunk = steps.0.len().div_ceil(2);
    while chunk > 0 {
        let before = steps.0.len();
        let mut end = before;
        while end > 0 && Instant::now() < until {
            let begin = end.saturating_sub(chunk);
            let fewer = Steps([&steps.0[..begin], &steps.0[end..]].concat());
            if let Err(smaller) = run(&fewer) {
                *steps = fewer;
                steps.0.truncate(smaller.at);
                failure = smaller;
            }
            end = begin.min(steps.0.len());
        }
        chunk = if chunk == 1 && steps.0.len() < before { 1 } else { chunk / 2 };
    }
    failure
}

fn said(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
