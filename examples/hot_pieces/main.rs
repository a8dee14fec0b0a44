//! The pieces of the server that run for every message, for `scripts/bench-check`, which counts their instructions
//! under callgrind.
//!
//! A count is the same in each run only if the piece does the same work in each run: its input is made up here, with
//! ids that never change, and it runs no statement of a database and uses no further thread. Only the seeds of hash
//! tables differ, which changes a count by up to one percent.

// The list and the numbers of this program are for the script, and its errors for the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod batches;
mod frames;
mod input;
mod pages;
mod rooms;

use std::process::ExitCode;

/// A piece that is counted: a number of runs, each of which does the same work with input of its own.
pub struct Piece {
    pub runs: usize,
    pub run: Box<dyn FnMut()>,
}

impl Piece {
    /// Returns a piece that uses the inputs in turn. The first run is not counted: it also initialises what is
    /// initialised once in a process.
    ///
    /// # Panics
    ///
    /// The piece panics if it runs more often than there are inputs.
    pub fn new<T: 'static>(inputs: Vec<T>, mut run: impl FnMut(T) + 'static) -> Self {
        let runs = inputs.len() - 1;
        let mut inputs = inputs.into_iter();
        let run = Box::new(move || run(inputs.next().expect("there is an input for each run")));
        Self { runs, run }
    }
}

/// Makes a piece.
type MakePiece = fn() -> Piece;

/// The names of the pieces, and how each is made.
const PIECES: [(&str, MakePiece); 6] = [
    ("frame_parse", frames::parse),
    ("event_encode", frames::encode),
    ("order_live", rooms::live),
    ("order_replay", rooms::replay),
    ("batch_decision", batches::decide),
    ("history_page", pages::history),
];

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "--list" {
        for (name, _) in PIECES {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let Some((_, make)) = PIECES.iter().find(|(name, _)| *name == argument) else {
        eprintln!("hot_pieces: there is no piece {argument:?}; --list names all");
        return ExitCode::FAILURE;
    };
    let mut piece = make();
    (piece.run)();
    counted_section(&mut piece);
    // The script divides the count by this number.
    println!("{}", piece.runs);
    ExitCode::SUCCESS
}

/// Callgrind counts only inside this function, which it finds by its name.
#[inline(never)]
fn counted_section(piece: &mut Piece) {
    for _ in 0..piece.runs {
        (piece.run)();
    }
}
