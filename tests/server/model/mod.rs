//! Random commands of several users, compared with a simple model of the rules. After every command, each device of
//! each user must have all events and no others. After some commands, and at the end, the answers of REST are compared
//! with the model and with the view that each device built from the events. At the end every device also syncs, once
//! from an earlier revision and once from the first event.
//!
//! The model follows the contract with clients. `commands.rs` has the possible commands, and `generator.rs` chooses
//! them. `state.rs` has the state of the model, `permissions.rs` the rules of who may do what, `effects.rs` and
//! `message_effects.rs` the changes that a command makes, `expected_views.rs` what each user then sees.
//! `client_view.rs` is the state of a client, and `replay.rs` its `sync`. `case.rs` runs the steps of one case, with
//! the users of `users.rs`; `requests.rs` sends each command, and `compare.rs` compares. `every_command.rs` runs all
//! commands one by one, so that none is missing.

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
use case::Case;
use commands::{Command, Draft, Step, Text};
use generator::{Steps, steps};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The number of cases in one run. A run starts no more cases after [`MAX_DURATION`]. `GREENROOM_MODEL_CASES` sets
/// another number, and then the duration has no limit.
const CASES: u32 = 20;
const MAX_DURATION: Duration = Duration::from_secs(27);

/// The seconds in which a failing case is shrunk, unless `GREENROOM_MODEL_SHRINK` sets another number.
const SHRINK_SECONDS: u32 = 60;

fn setting(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn after_random_commands_each_user_sees_what_the_model_expects() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::start());
    let mut random = Random::from_environment();
    let seed = [random.next().to_le_bytes(), random.next().to_le_bytes()].concat();
    // Only the generator of proptest is used. It shrinks a failing case one step at a time, and each attempt takes a
    // second here.
    let config = ProptestConfig { rng_algorithm: RngAlgorithm::XorShift, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &seed));
    let last_number = Cell::new(0);
    let run = |steps: &Steps| {
        last_number.set(last_number.get() + 1);
        // A panic in the harness is a failure like any other.
        let case = AssertUnwindSafe(|| runtime.block_on(run(&server, last_number.get(), steps)));
        catch_unwind(case).unwrap_or_else(|panic| Err(Failure { steps: steps.0.len(), error: panic_text(&panic) }))
    };
    let (started, requested) = (Instant::now(), setting("GREENROOM_MODEL_CASES"));
    for number in 0..requested.unwrap_or(CASES) {
        if requested.is_none() && started.elapsed() > MAX_DURATION {
            eprintln!("{number} cases of {CASES} on this slow machine");
            break;
        }
        let mut steps = steps().new_tree(&mut runner).unwrap().current();
        if let Err(failure) = run(&steps) {
            eprintln!("case {number} failed: {}; now it is shrunk", failure.error);
            let failure = shrink(&mut steps, failure, run);
            panic!("after {steps:?}\n{}", failure.error);
        }
    }
}

/// Covers a case that random commands found once and rarely reach.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_user_who_is_added_again_sees_what_the_other_participants_see() {
    let server = TestServer::start().await;
    let mut case = Case::new(&server, 1).await;
    let send =
        |text| Command::Send { conversation: 0, draft: Draft::Text(Text::Plain(text)), reply: None, temp_number: None };
    let create = Command::CreateGroup { others: vec![1, 2], name: 0, temp_number: None };
    case.run_command(0, 0, false, &create).await.unwrap();
    for round in 0..5 {
        case.run_step(&Step::Disconnect { user: 2, device: 0 }).await.unwrap();
        let commands = [
            send(1),
            Command::Remove { conversation: 0, user: 2 },
            send(2),
            Command::Add { conversation: 0, users: vec![2], role: None },
            send(3),
            Command::React { conversation: 0, seq: 2, emoji: 0 },
        ];
        for command in commands.iter().skip(round) {
            case.run_command(0, 0, round % 2 == 0, command).await.unwrap();
        }
        case.run_step(&Step::Reconnect { user: 2, device: 0 }).await.unwrap();
        case.run_command(1, 1, true, &send(4)).await.unwrap();
        case.compare_all().await.unwrap();
    }
    case.finish(0).await.unwrap();
}

/// The error of a failed case, and the number of steps that were run before it.
struct Failure {
    steps: usize,
    error: String,
}

async fn run(server: &TestServer, number: u32, steps: &Steps) -> Result<(), Failure> {
    let mut case = Case::new(server, number).await;
    for (index, step) in steps.0.iter().enumerate() {
        case.run_step(step).await.map_err(|error| Failure { steps: index + 1, error })?;
    }
    let result = case.finish(steps.0.len()).await;
    result.map_err(|error| Failure { steps: steps.0.len(), error: format!("at the end: {error}") })
}

/// Removes steps, first many together and then fewer, as long as the case still fails and there is time.
fn shrink(steps: &mut Steps, mut failure: Failure, run: impl Fn(&Steps) -> Result<(), Failure>) -> Failure {
    let seconds = setting("GREENROOM_MODEL_SHRINK").unwrap_or(SHRINK_SECONDS);
    let deadline = Instant::now() + Duration::from_secs(seconds.into());
    steps.0.truncate(failure.steps);
    let mut chunk = steps.0.len().div_ceil(2);
    while chunk > 0 {
        let before = steps.0.len();
        let mut end = before;
        while end > 0 && Instant::now() < deadline {
            let begin = end.saturating_sub(chunk);
            let fewer = Steps([&steps.0[..begin], &steps.0[end..]].concat());
            if let Err(smaller) = run(&fewer) {
                *steps = fewer;
                steps.0.truncate(smaller.steps);
                failure = smaller;
            }
            end = begin.min(steps.0.len());
        }
        chunk = if chunk == 1 && steps.0.len() < before { 1 } else { chunk / 2 };
    }
    failure
}

fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
