//! What errors say, and where it is written down.

use super::rules::variants;
use super::source::Source;

/// The table of errors in a document names every code with its status, and no other.
pub fn table_of_errors(codes: &Source, document: &Source) -> Vec<String> {
    let statuses = statuses(&codes.code);
    let mut broken = Vec::new();
    let mut known = Vec::new();
    for variant in variants(&codes.code, "Code") {
        let quoted = format!("Self::{variant} => \"");
        let Some(name) = codes.text.split(&quoted).nth(1).and_then(|rest| rest.split('"').next()) else { continue };
        let status = statuses.iter().find(|(of, _)| *of == variant).map_or("", |(_, status)| status);
        let row = format!("| `{name}` | {status} | ");
        if !document.text.contains(&row) {
            broken.push(format!(
                "{}: `{name}` has no row in the table of errors: begin one with `{}`",
                document.path,
                row.trim_end()
            ));
        }
        known.push(name);
    }
    for line in document.text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, status, ..] = cells[..] else { continue };
        let name = name.trim_matches('`');
        let is_of_an_error = status.len() == 3 && status.starts_with(['4', '5']) && status.parse::<u16>().is_ok();
        if is_of_an_error && !known.contains(&name) {
            broken.push(format!("{}: there is no error `{name}`: remove its row", document.path));
        }
    }
    broken
}

/// Each variant with the status that `fn status` gives it.
fn statuses(code: &str) -> Vec<(&str, &str)> {
    let Some(body) = code.split("fn status").nth(1).and_then(|rest| rest.split("fn ").next()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for arm in body.split(',') {
        let Some((variants, status)) = arm.split_once("=>") else { continue };
        for variant in variants.split("Self::").skip(1) {
            found.push((variant.trim_end_matches([' ', '|', '\n']), status.trim()));
        }
    }
    found
}

/// Whoever is refused for a reason that passes, or that signing in mends, is told what to do.
pub fn remedies(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for kind in ["unauthorized(\"", "unavailable(\"", "busy(\""] {
            for rest in file.untested().split(kind).skip(1) {
                let said = rest.split('"').next().unwrap_or_default();
                if !said.contains("; ") {
                    broken.push(format!("{}: {said:?} says what is wrong; say behind a `;` what to do", file.path));
                }
            }
        }
    }
    broken
}
