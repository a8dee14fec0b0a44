//! Finds the web addresses in a text.
//!
//! The web client implements the same rule in `static/app/lib/links.js`. The tests of both read
//! `tests/cases/links.json`.

use super::characters::{is_ignorable, is_word_character, may_precede_word};
use std::ops::Range;

/// Returns the web addresses of a text in their order, unchanged; see [`ranges`].
pub fn links(text: &str) -> Vec<&str> {
    ranges(text).into_iter().map(|range| &text[range]).collect()
}

/// Returns the byte ranges of the web addresses of a text.
///
/// An address begins with `http://`, `https://` or `www.`. It does not begin inside a word, unless the script of the
/// word has no spaces. It ends before white space, an invisible character, an angle bracket, a quotation mark, Chinese
/// or Japanese punctuation, and a closing bracket without an opening one in the address. Punctuation that ends a
/// sentence is not part of the address.
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut next = 0;
    while let Some(at) = text[next..].find(['h', 'H', 'w', 'W']).map(|at| next + at) {
        match address_end(text, at) {
            Some(end) => {
                ranges.push(at..end);
                next = end;
            }
            None => next = at + 1,
        }
    }
    ranges
}

/// Returns the end of the address that begins at `start`; `None` if no address begins there.
fn address_end(text: &str, start: usize) -> Option<usize> {
    let starts_with = |prefix: &str| {
        text.get(start..start + prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    };
    let prefix = ["https://", "http://", "www."].into_iter().find(|prefix| starts_with(prefix))?;
    let before = text[..start].chars().next_back();
    if before.is_some_and(|letter| !may_precede_word(letter)) {
        return None;
    }
    let host = start + prefix.len();
    let first = text[host..].chars().next()?;
    let end = if prefix == "www." {
        // After one of these characters it is part of another address, such as an e-mail address.
        if before.is_some_and(|letter| ".-@/".contains(letter)) || !is_word_character(first) {
            return None;
        }
        let end = host_end(text, host);
        let mut labels = text[host..end].split('.').skip(1);
        labels.any(|label| label.starts_with(is_word_character)).then_some(end)?
    } else if first == '[' {
        let is_ipv6_character = |letter: &char| letter.is_ascii_hexdigit() || ":.".contains(*letter);
        let length = text[host + 1..].chars().take_while(is_ipv6_character).count();
        text[host + 1 + length..].strip_prefix(']').filter(|_| length > 0)?;
        host_end(text, host + length + 2)
    } else {
        is_word_character(first).then(|| host_end(text, host))?
    };
    let end = if text[end..].starts_with(['/', '?', '#']) { path_end(text, end) } else { end };
    Some(start + text[start..end].trim_end_matches(is_sentence_punctuation).len())
}

/// Returns the end of the user, host and port of an address.
fn host_end(text: &str, from: usize) -> usize {
    let ends_host = |letter: char| ends_address(letter) || !(is_word_character(letter) || "-._~%:@".contains(letter));
    text[from..].find(ends_host).map_or(text.len(), |length| from + length)
}

/// Returns the end of the path, query and fragment of an address.
fn path_end(text: &str, from: usize) -> usize {
    let mut open_brackets = Vec::new();
    for (at, letter) in text[from..].char_indices() {
        let closes = match letter {
            '(' => {
                open_brackets.push(')');
                continue;
            }
            '[' => {
                open_brackets.push(']');
                continue;
            }
            '{' => {
                open_brackets.push('}');
                continue;
            }
            ')' | ']' | '}' => true,
            _ => false,
        };
        if ends_address(letter) || (closes && open_brackets.pop() != Some(letter)) {
            return from + at;
        }
    }
    text.len()
}

fn ends_address(letter: char) -> bool {
    let fullwidth = matches!(letter, '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FFEF}') && !is_word_character(letter);
    letter.is_whitespace()
        || letter.is_control()
        || is_ignorable(letter)
        || "<>\"`“”„‟«»‹›".contains(letter)
        || fullwidth
        || matches!(letter, '\u{FE10}'..='\u{FE1F}' | '\u{FE30}'..='\u{FE6F}')
}

/// Returns whether a character at the end of an address belongs to the sentence: punctuation, or an opening bracket.
fn is_sentence_punctuation(letter: char) -> bool {
    ".,;:!?…'‘’*_~([{،؛؟۔।॥։።།၊။។៕".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct LinkCase {
        text: String,
        links: Vec<String>,
    }

    #[test]
    fn the_cases_shared_with_the_client_hold() {
        let cases: Vec<LinkCase> =
            serde_json::from_str(include_str!("../../tests/cases/links.json")).expect("the cases");
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
        // Quadratic time would be far too slow for these texts.
        for part in ["http://-", "www.a/(", "www.a_", "http://[", "www.-", "http://a(", "https://a/("] {
            let text = part.repeat(200_000);
            assert!(links(&text).len() <= 200_000);
        }
        let text = "http://-".repeat(200_000);
        assert_eq!(links(&format!("{text}http://a.example")), ["http://a.example"]);
    }
}
