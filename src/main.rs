//! The program `greenroom`. What it can do is in [`greenroom::cli`].

use std::process::ExitCode;

/// Many sockets share few threads that allocate for all of them: this allocator gives back what they free. The library
/// names none, so that whoever embeds it chooses.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    greenroom::cli::run(std::env::args_os())
}
