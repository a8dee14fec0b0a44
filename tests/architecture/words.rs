//! The texts of errors, and the table of errors in the documents.

use super::rules::variants;
use super::source::Source;

/// The table of errors in a document has every code with its status, and no other code.
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
                "{}: `{name}` has no row in the table of errors: add one that begins with `{}`",
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

/// Returns each variant with the status that `fn status` returns for it.
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

/// The functions that take the detail of an error for the client.
const WITH_DETAIL: [&str; 6] = ["invalid_request", "unauthorized", "forbidden", "conflict", "busy", "unavailable"];
/// Those of them after which the client can do something: wait, or sign in. Their details say what.
const WITH_REMEDY: [&str; 3] = ["unauthorized", "busy", "unavailable"];

/// The detail of an error is one or more sentences. It begins with a capital letter or a backtick, and ends with a full
/// stop. Where the client can do something, the detail says what, after a semicolon or in a second sentence.
pub fn details(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let text = file.untested();
        for name in WITH_DETAIL {
            for argument in text.split(&format!("{name}(")).skip(1) {
                let Some(detail) = literal(argument).or_else(|| literal(constant(text, argument)?)) else { continue };
                broken.extend(form_of(file, &detail));
                if WITH_REMEDY.contains(&name) && !detail.contains("; ") && !detail.contains(". ") {
                    broken.push(format!("{}: {detail:?} says what is wrong; say also what to do", file.path));
                }
            }
        }
        // These constructors in `src/error.rs` have a fixed detail.
        for argument in text.split("Self::new(").skip(1) {
            let Some(detail) = argument.split_once(',').and_then(|(code, rest)| {
                code.trim().strip_prefix("Code::")?;
                literal(rest)
            }) else {
                continue;
            };
            broken.extend(form_of(file, &detail));
        }
    }
    broken
}

fn form_of(file: &Source, detail: &str) -> Option<String> {
    let begins = detail.starts_with(|first: char| first.is_uppercase() || first == '`');
    let is_sentence = begins && detail.ends_with('.');
    (!is_sentence).then(|| {
        format!(
            "{}: {detail:?} is no sentence: begin with a capital letter or a backtick, end with a full stop",
            file.path
        )
    })
}

/// Returns the string literal that some code begins with, also inside of `format!(…)`: `None` if it begins with other
/// code.
fn literal(code: &str) -> Option<String> {
    let code = code.trim_start();
    let code = code.strip_prefix("format!(").unwrap_or(code).trim_start().strip_prefix('"')?;
    let (mut text, mut characters) = (String::new(), code.chars());
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                // The literal continues at the next character that is not white space.
                '\n' => characters = characters.as_str().trim_start().chars(),
                escaped => text.push(escaped),
            },
            character => text.push(character),
        }
    }
}

/// Returns the code behind `=` of the constant whose name some code begins with.
fn constant<'a>(text: &'a str, code: &str) -> Option<&'a str> {
    let end = code.find(|character: char| !character.is_ascii_uppercase() && character != '_')?;
    if end == 0 {
        return None;
    }
    text.split_once(&format!("const {}: &str = ", &code[..end])).map(|(_, rest)| rest)
}
