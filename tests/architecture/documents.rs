//! The rule about the commands in documents: each names tests that exist.

use super::source::Source;

/// Every filter of a command `cargo test --test PROGRAM FILTER` in a document is a part of the path of a test of that
/// program. `files` are the sources of the test programs.
pub fn filters(documents: &[Source], files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for document in documents {
        for (index, line) in document.text.lines().enumerate() {
            for (program, filter) in line.split("--test ").skip(1).filter_map(program_and_filter) {
                if !tests_of(program, files).any(|path| path.contains(filter)) {
                    broken.push(format!(
                        "{}:{}: no test of the program `{program}` has `{filter}` in its path",
                        document.path,
                        index + 1
                    ));
                }
            }
        }
    }
    broken
}

/// Returns the program and the filter of a command. `rest` begins after `--test `. A command without a filter runs all
/// tests of the program.
fn program_and_filter(rest: &str) -> Option<(&str, &str)> {
    let command = rest.split(['`', '|', '#', '&']).next()?;
    let mut words = command.split_whitespace();
    let program = words.next().filter(|word| word.chars().all(|character| character.is_ascii_lowercase()))?;
    let filter = words.find(|word| !word.starts_with('-') && !word.chars().all(|digit| digit.is_ascii_digit()))?;
    Some((program, filter))
}

/// Returns the paths of all functions of a test program, with the modules that they are in.
fn tests_of<'s>(program: &str, files: &'s [Source]) -> impl Iterator<Item = String> + 's {
    let (folder, file) = (format!("tests/{program}/"), format!("tests/{program}.rs"));
    files.iter().flat_map(move |source| {
        let module = match source.path.strip_prefix(&folder) {
            Some(path) => path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::"),
            None if source.path == file => String::new(),
            None => return Vec::new(),
        };
        let functions = source.code.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
        functions.map(|name| format!("{module}::{name}")).collect()
    })
}
