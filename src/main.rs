//! The program `greenroom`. What it can do is in [`greenroom::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroom::cli::run(std::env::args_os())
}
