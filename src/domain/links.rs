//! Links in what people write: where a web address begins and ends in a text. The client has the same rule
//! (`static/app/lib/links.js`); `tests/cases/links.json` holds both to it.

use super::characters::{is_ignorable, is_word, may_stand_before_a_word};
use std::ops::Range;

/// The web addresses in a text, in their order, as they were written; see [`ranges`].
pub fn links(text: &str) -> Vec<&str> {
    ranges(text).into_iter().map(|range| &text[range]).collect()
}

/// Where the web addresses of a text stand, in bytes. An address begins with `http://`, `https://` or `www.`, not in the
/// middle of a word, unless that is of a script without spaces. It ends before white space, an invisible character, an
/// angle bracket, a quotation mark, the punctuation of Chinese and Japanese, and a bracket that it does not open; the
/// punctuation that ends a sentence is not part of it.
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find(['h', 'H', 'w', 'W']).map(|at| rest + at) {
        match address(text, at) {
            Some(end) => {
                found.push(at..end);
                rest = end;
            }
            None => rest = at + 1,
        }
    }
    found
}

/// Where the address ends that begins at `start`.
fn address(text: &str, start: usize) -> Option<usize> {
    let begins = |prefix: &str| text.get(start..start + prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
    let prefix = ["https://", "http://", "www."].into_iter().find(|prefix| begins(prefix))?;
    let before = text[..start].chars().next_back();
    if before.is_some_and(|letter| !may_stand_before_a_word(letter)) {
        return None;
    }
    let host = start + prefix.len();
    let first = text[host..].chars().next()?;
    let end = if prefix == "www." {
        // what comes before may make it part of another address, as in an address of e-mail
        if before.is_some_and(|letter| ".-@/".contains(letter)) || !is_word(first) {
            return None;
        }
        let end = end_of_host(text, host);
        let mut labels = text[host..end].split('.').skip(1);
        labels.any(|label| label.starts_with(is_word)).then_some(end)?
    } else if first == '[' {
        let numbers = |letter: &char| letter.is_ascii_hexdigit() || ":.".contains(*letter);
        let length = text[host + 1..].chars().take_while(numbers).count();
        text[host + 1 + length..].strip_prefix(']').filter(|_| length > 0)?;
        end_of_host(text, host + length + 2)
    } else {
        is_word(first).then(|| end_of_host(text, host))?
    };
    let end = if text[end..].starts_with(['/', '?', '#']) { end_of_path(text, end) } else { end };
    Some(start + text[start..end].trim_end_matches(is_of_the_sentence).len())
}

/// Where the characters end of which names of hosts, users and ports are made.
fn end_of_host(text: &str, from: usize) -> usize {
    let ends = |letter: char| ends_an_address(letter) || !(is_word(letter) || "-._~%:@".contains(letter));
    text[from..].find(ends).map_or(text.len(), |length| from + length)
}

/// Where the rest of an address ends.
fn end_of_path(text: &str, from: usize) -> usize {
    let mut open = Vec::new();
    for (at, letter) in text[from..].char_indices() {
        let closes = match letter {
            '(' => {
                open.push(')');
                continue;
            }
            '[' => {
                open.push(']');
                continue;
            }
            '{' => {
                open.push('}');
                continue;
            }
            ')' | ']' | '}' => true,
            _ => false,
        };
        if ends_an_address(letter) || (closes && open.pop() != Some(letter)) {
            return from + at;
        }
    }
    text.len()
}

fn ends_an_address(letter: char) -> bool {
    let fullwidth = matches!(letter, '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FFEF}') && !is_word(letter);
    letter.is_whitespace()
        || letter.is_control()
        || is_ignorable(letter)
        || "<>\"`“”„‟«»‹›".contains(letter)
        || fullwidth
        || matches!(letter, '\u{FE10}'..='\u{FE1F}' | '\u{FE30}'..='\u{FE6F}')
}

/// What usually ends a sentence, or opens a bracket, rather than belongs to an address at whose end it stands.
fn is_of_the_sentence(letter: char) -> bool {
    ".,;:!?…'‘’*_~([{،؛؟۔।॥։።།၊။។៕".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        text: String,
        links: Vec<String>,
    }

    #[test]
    fn the_cases_shared_with_the_client_hold() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/cases/links.json")).expect("the cases");
        assert!(cases.len() > 50);
        let wrong: Vec<String> = cases
            .iter()
            .filter(|case| links(&case.text) != case.links)
            .map(|case| format!("{:?}: {:?}, not {:?}", case.text, links(&case.text), case.links))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_long_text_is_read_once() {
        // looked at anew from each of these, it would not be done today
        for part in ["http://-", "www.a/(", "www.a_", "http://[", "www.-", "http://a(", "https://a/("] {
            let text = part.repeat(200_000);
            assert!(links(&text).len() <= 200_000);
        }
        let text = "http://-".repeat(200_000);
        assert_eq!(links(&format!("{text}http://a.example")), ["http://a.example"]);
    }
}
