//! The program `greenroom`, which runs the commands of [`greenroom::cli`].

use std::process::ExitCode;

/// Few threads allocate memory for many sockets. This allocator returns the freed memory to the operating system. The
/// library sets no allocator, so that a program that embeds it can choose one.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    greenroom::cli::run(std::env::args_os())
}
