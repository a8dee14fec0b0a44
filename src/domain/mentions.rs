//! Whom a text may mean with `@`. Which of these names are somebody's is for whoever knows the participants.

use super::limits;
use unicode_normalization::char::is_combining_mark;

/// What everybody is called; nobody can have it as a username.
pub const ALL: &str = "all";

/// The longest username, in characters, which are bytes in one.
const LONGEST: usize = 32;

/// The names that `text` may mention, in order of appearance: for each `@` the names it may mean, the longest first, as
/// usernames are compared. Only the first [`limits::MENTIONS`] of them are looked at.
///
/// A name does not begin after a word character (so no address of e-mail mentions anybody), a `.` or `-` at its end
/// belongs to the sentence, and where nobody is called so it may end before one (`@ada.` and `@ada-like` mention `ada`).
pub fn candidates(text: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        if text[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let names = names(&text[at + 1..]);
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

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || is_combining_mark(letter)
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

    fn found(text: &str) -> Vec<String> {
        candidates(text).iter().map(|names| names.join(" ")).collect()
    }

    #[test]
    fn a_mention_is_an_at_and_a_name() {
        assert_eq!(found("hi @Bob, and @carol_2!"), ["bob", "carol_2"]);
        assert_eq!(found("@bob"), ["bob"]);
        assert_eq!(found("(@bob) \n@carol"), ["bob", "carol"]);
        assert_eq!(found("no mention here, @ all, @, @!"), Vec::<String>::new());
    }

    #[test]
    fn a_name_does_not_begin_after_a_word_character() {
        for text in ["mail bob@carol.example", "5@bob", "_@bob", "é@bob", "e\u{301}@bob", "文@bob"] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
        for text in [".@bob", "-@bob", "@@bob", "👍@bob", "/@bob"] {
            assert_eq!(found(text), ["bob"], "{text}");
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
        assert_eq!(found("@bob.@carol"), ["bob", "carol"]);
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
