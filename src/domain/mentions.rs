//! Whom a text may mention with `@`. Which of these names are somebody's is for whoever knows the participants. The client
//! has the same rule (`static/app/lib/mentions.js`); `tests/cases/mentions.json` holds both to it.

use super::{limits, links};
use std::ops::Range;

/// What everybody is called; nobody can have it as a username.
pub const ALL: &str = "all";

/// The longest username, in characters, which are bytes in one.
const LONGEST: usize = 32;

/// What begins a mention: `@`, also as East Asian keyboards write it.
const SIGNS: [char; 2] = ['@', '＠'];

/// Whether a text holds anything that could be a mention.
pub fn has_sign(text: &str) -> bool {
    text.contains(SIGNS)
}

/// The names that `text` may mention, in order of appearance: for each `@` the names it may mean, the longest first, as
/// usernames are compared. Only the first [`limits::MENTIONS`] of them are looked at.
///
/// A name does not begin after what may stand before the `@` of an e-mail address, nor in a web address or in code. A `.`
/// or `-` at its end belongs to the sentence, and where nobody is called so it may end before one (`@ada.` and `@ada-like`
/// mention `ada`).
pub fn candidates(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    if !has_sign(text) {
        return found;
    }
    let (addresses, code) = (links::ranges(text), code(text));
    for (at, sign) in text.match_indices(SIGNS) {
        let in_email =
            text[..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
        if in_email || within(&addresses, at) || within(&code, at) {
            continue;
        }
        let names = names(&text[at + sign.len()..]);
        if names.is_empty() || found.contains(&names) {
            continue;
        }
        found.push(names);
        if found.len() == limits::MENTIONS {
            break;
        }
    }
    found
}

/// Whether a place is in one of the ranges, which are in order.
fn within(ranges: &[Range<usize>], at: usize) -> bool {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).is_some_and(|range| range.contains(&at))
}

/// Where code stands in a text: between a run of backticks and the next run of as many. Of three or more it is a fence,
/// which reaches over empty lines; a shorter one does not. What is not closed is no code.
fn code(text: &str) -> Vec<Range<usize>> {
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

/// The names that the beginning of `text` may be, the longest first.
fn names(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let length = bytes.iter().take_while(|byte| is_of_a_name(**byte)).count();
    let ends = (1..=length.min(LONGEST)).rev().filter(|end| {
        let follows = bytes.get(*end).filter(|_| *end < length);
        let at_end = follows.is_none_or(|byte| b".-".contains(byte));
        at_end && !b".-".contains(&bytes[*end - 1])
    });
    ends.map(|end| text[..end].to_ascii_lowercase()).collect()
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        text: String,
        mentions: Vec<String>,
    }

    fn found(text: &str) -> Vec<String> {
        candidates(text).iter().map(|names| names.join(" ")).collect()
    }

    /// What the text says of those who are there: each once, without case.
    fn meant(text: &str) -> Vec<String> {
        let there = ["bob", "bob.smith", "carol_2", ALL];
        let candidates = candidates(text);
        let longest = |names: &Vec<String>| names.iter().find(|name| there.contains(&name.as_str())).cloned();
        let mut meant: Vec<String> = candidates.iter().filter_map(longest).collect();
        meant.sort();
        meant.dedup();
        meant
    }

    #[test]
    fn the_cases_shared_with_the_client_hold() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/cases/mentions.json")).expect("the cases");
        assert!(cases.len() > 30);
        let mut wrong = Vec::new();
        for Case { text, mentions } in &cases {
            let mut expected: Vec<String> =
                mentions.iter().map(|mention| mention.trim_start_matches(SIGNS).to_lowercase()).collect();
            expected.sort();
            expected.dedup();
            if meant(text) != expected {
                wrong.push(format!("{text:?}: {:?}, not {expected:?}", meant(text)));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_long_text_is_read_once() {
        for part in ["`", "`` ", "` \n\n", "@a", "` `` ``` "] {
            assert!(candidates(&part.repeat(50_000)).len() <= limits::MENTIONS);
        }
    }

    #[test]
    fn the_longest_name_comes_first_and_ends_before_a_dot_or_dash() {
        assert_eq!(found("@bob.smith-jones"), ["bob.smith-jones bob.smith bob"]);
        assert_eq!(found("@bob."), ["bob"]);
        assert_eq!(found("@bob.-- "), ["bob"]);
        assert_eq!(found("@bob..smith"), ["bob..smith bob"]);
        assert_eq!(found("@-bob @.x"), ["-bob", ".x"]);
        assert_eq!(found("@bob_smith"), ["bob_smith"]);
        assert_eq!(found("@..."), Vec::<String>::new());
    }

    #[test]
    fn a_name_ends_where_no_name_goes_on() {
        assert_eq!(found("@bobé"), ["bob"]);
        assert_eq!(found("@bob@carol"), ["bob"]);
        assert_eq!(found("@bob.@carol"), ["bob"]);
    }

    #[test]
    fn what_is_longer_than_a_name_can_be_is_none() {
        assert_eq!(found(&format!("@{}", "a".repeat(LONGEST + 1))), Vec::<String>::new());
        assert_eq!(found(&format!("@{}", "a".repeat(LONGEST))), ["a".repeat(LONGEST)]);
        assert_eq!(found(&format!("@bob.{}", "a".repeat(LONGEST))), ["bob"]);
    }

    #[test]
    fn a_name_counts_once_and_their_number_is_bounded() {
        assert_eq!(found("@bob @BOB @Bob."), ["bob"]);
        let many: Vec<String> = (0..limits::MENTIONS + 10).map(|number| format!("@user{number}")).collect();
        assert_eq!(candidates(&many.join(" ")).len(), limits::MENTIONS);
    }
}
