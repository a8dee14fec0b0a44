//! Finds the usernames that a text may mention with `@`.
//!
//! This module does not know the participants, so it cannot decide which of the names exist. The web client implements
//! the same rule in `static/app/lib/mentions.js`. The tests of both read `tests/cases/mentions.json`.

use super::{limits, links};
use std::ops::Range;

/// `@all` mentions all participants. The username `all` is reserved.
pub const ALL: &str = "all";

/// A mention begins with `@` or with the fullwidth `＠` of East Asian keyboards.
const SIGNS: [char; 2] = ['@', '＠'];

/// Returns whether a text contains an `@`, so that it may contain a mention.
pub fn has_mention_sign(text: &str) -> bool {
    text.contains(SIGNS)
}

/// Returns the possible usernames of each mention, in the order of the text. For each `@` it lists the names in lower
/// case, the longest first. It returns at most [`limits::MENTIONS_PER_MESSAGE`] lists and ignores later mentions.
///
/// An `@` inside an e-mail address, a web address or code begins no mention. A `.` or `-` at the end of a name belongs
/// to the sentence. A name may also end before a `.` or `-` inside it: `@ada-like` mentions `ada` if no user is called
/// `ada-like`.
pub fn candidates(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    if !has_mention_sign(text) {
        return found;
    }
    let (addresses, code) = (links::ranges(text), code_ranges(text));
    for (at, sign) in text.match_indices(SIGNS) {
        let in_email =
            text[..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
        if in_email || is_within(&addresses, at) || is_within(&code, at) {
            continue;
        }
        let names = possible_names(&text[at + sign.len()..]);
        if names.is_empty() || found.contains(&names) {
            continue;
        }
        found.push(names);
        if found.len() == limits::MENTIONS_PER_MESSAGE {
            break;
        }
    }
    found
}

/// Returns whether one of the ranges contains the byte offset `at`. The ranges are sorted.
fn is_within(ranges: &[Range<usize>], at: usize) -> bool {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).is_some_and(|range| range.contains(&at))
}

/// Returns the byte ranges of code. Code is between a run of backticks and the next run of the same length. A run of
/// three or more backticks may enclose empty lines, a shorter run may not. A run that is not closed begins no code.
fn code_ranges(text: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('`') {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(opening) = runs.get(next) {
        next += 1;
        let Some(ahead) = runs[next..].iter().position(|run| run.len() == opening.len()) else { continue };
        let closing = &runs[next + ahead];
        if opening.len() < 3 && has_empty_line(&text[opening.end..closing.start]) {
            continue;
        }
        found.push(opening.start..closing.end);
        next += ahead + 1;
    }
    found
}

fn has_empty_line(text: &str) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    lines.len() > 2 && lines[1..lines.len() - 1].iter().any(|line| line.trim().is_empty())
}

/// Returns the names with which `text` may begin, the longest first.
fn possible_names(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let length = bytes.iter().take_while(|byte| is_name_byte(**byte)).count();
    let ends = (1..=length.min(*limits::USERNAME_CHARS.end())).rev().filter(|end| {
        let next_byte = bytes.get(*end).filter(|_| *end < length);
        let at_end = next_byte.is_none_or(|byte| b".-".contains(byte));
        at_end && !b".-".contains(&bytes[*end - 1])
    });
    ends.map(|end| text[..end].to_ascii_lowercase()).collect()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct MentionCase {
        text: String,
        mentions: Vec<String>,
    }

    fn joined_candidates(text: &str) -> Vec<String> {
        candidates(text).iter().map(|names| names.join(" ")).collect()
    }

    /// Returns the participants whom the text mentions: each once, in lower case, sorted.
    fn mentioned(text: &str) -> Vec<String> {
        let participants = ["bob", "bob.smith", "carol_2", ALL];
        let candidates = candidates(text);
        let longest = |names: &Vec<String>| names.iter().find(|name| participants.contains(&name.as_str())).cloned();
        let mut mentioned: Vec<String> = candidates.iter().filter_map(longest).collect();
        mentioned.sort();
        mentioned.dedup();
        mentioned
    }

    #[test]
    fn the_cases_shared_with_the_client_hold() {
        let cases: Vec<MentionCase> =
            serde_json::from_str(include_str!("../../tests/cases/mentions.json")).expect("the cases");
        assert!(cases.len() > 30);
        let mut wrong = Vec::new();
        for MentionCase { text, mentions } in &cases {
            let mut expected: Vec<String> =
                mentions.iter().map(|mention| mention.trim_start_matches(SIGNS).to_lowercase()).collect();
            expected.sort();
            expected.dedup();
            if mentioned(text) != expected {
                wrong.push(format!("{text:?}: {:?}, not {expected:?}", mentioned(text)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_long_text_is_read_once() {
        for part in ["`", "`` ", "` \n\n", "@a", "` `` ``` "] {
            assert!(candidates(&part.repeat(50_000)).len() <= limits::MENTIONS_PER_MESSAGE);
        }
    }

    #[test]
    fn the_longest_name_comes_first_and_ends_before_a_dot_or_dash() {
        assert_eq!(joined_candidates("@bob.smith-jones"), ["bob.smith-jones bob.smith bob"]);
        assert_eq!(joined_candidates("@bob."), ["bob"]);
        assert_eq!(joined_candidates("@bob.-- "), ["bob"]);
        assert_eq!(joined_candidates("@bob..smith"), ["bob..smith bob"]);
        assert_eq!(joined_candidates("@-bob @.x"), ["-bob", ".x"]);
        assert_eq!(joined_candidates("@bob_smith"), ["bob_smith"]);
        assert_eq!(joined_candidates("@..."), Vec::<String>::new());
    }

    #[test]
    fn a_name_ends_before_a_character_that_no_name_contains() {
        assert_eq!(joined_candidates("@bobé"), ["bob"]);
        assert_eq!(joined_candidates("@bob@carol"), ["bob"]);
        assert_eq!(joined_candidates("@bob.@carol"), ["bob"]);
    }

    #[test]
    fn a_text_longer_than_a_username_is_no_name() {
        assert_eq!(
            joined_candidates(&format!("@{}", "a".repeat(*limits::USERNAME_CHARS.end() + 1))),
            Vec::<String>::new()
        );
        assert_eq!(
            joined_candidates(&format!("@{}", "a".repeat(*limits::USERNAME_CHARS.end()))),
            ["a".repeat(*limits::USERNAME_CHARS.end())]
        );
        assert_eq!(joined_candidates(&format!("@bob.{}", "a".repeat(*limits::USERNAME_CHARS.end()))), ["bob"]);
    }

    #[test]
    fn a_repeated_name_counts_once_and_the_number_of_names_is_bounded() {
        assert_eq!(joined_candidates("@bob @BOB @Bob."), ["bob"]);
        let many: Vec<String> = (0..limits::MENTIONS_PER_MESSAGE + 10).map(|number| format!("@user{number}")).collect();
        assert_eq!(candidates(&many.join(" ")).len(), limits::MENTIONS_PER_MESSAGE);
    }
}
