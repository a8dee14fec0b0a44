//! Defines how the search for users finds names: what the index contains, and what a query matches.
//!
//! Names and queries are folded ([`text::fold`]). White space separates chunks. Inside a chunk a word also begins after
//! a character that is no letter or digit, at such a character, and at each letter of a script that is written without
//! spaces. A query matches a name if each word of the query is at the beginning of a word of the name. A query word of
//! three characters or more may also be inside a word of the name.

use super::{limits, text};
use std::collections::BTreeSet;

/// The length to which words in the index and words of a query are cut.
pub const INDEXED_CHARS: usize = 32;
/// The greatest number of index rows of one user.
const MAX_INDEXED_WORDS: usize = 512;
/// The least length of a query word that is also searched inside words.
pub const INSIDE_CHARS: usize = 3;

/// One row of the index: the characters of a name from one offset on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IndexedWord {
    /// False if a word begins at the offset.
    pub inside: bool,
    /// At most [`INDEXED_CHARS`] characters.
    pub word: String,
}

/// Returns the folded text that the search compares with queries.
pub fn searchable_text(username: &str, display_name: &str) -> String {
    text::fold(&format!("{username} {display_name}"))
}

/// Returns the index rows of a user, from the result of [`searchable_text`]. A migration contains a copy of this
/// function. If you change it, write a new migration that fills the index again.
pub fn indexed_words(text: &str) -> BTreeSet<IndexedWord> {
    let mut words = BTreeSet::new();
    for chunk in text.split_whitespace() {
        let letters: Vec<char> = chunk.chars().collect();
        for at in 0..letters.len() {
            let inside = !is_word_start(&letters, at);
            if words.len() < MAX_INDEXED_WORDS && (!inside || letters.len() - at >= INSIDE_CHARS) {
                words.insert(IndexedWord { inside, word: letters[at..].iter().take(INDEXED_CHARS).collect() });
            }
        }
    }
    words
}

/// Returns whether a word begins at the offset `at`.
fn is_word_start(letters: &[char], at: usize) -> bool {
    let separates = |letter: char| !letter.is_alphanumeric() || is_written_without_spaces(letter);
    at == 0 || separates(letters[at - 1]) || separates(letters[at])
}

/// Returns whether a letter belongs to a script that has no spaces between words.
fn is_written_without_spaces(letter: char) -> bool {
    matches!(letter,
        '\u{E00}'..='\u{FFF}' // Thai, Lao, Tibetan
        | '\u{1000}'..='\u{109F}' // Myanmar
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{1950}'..='\u{19FF}' // Tai Le, New Tai Lue, Khmer symbols
        | '\u{1A20}'..='\u{1AAF}' // Tai Tham
        | '\u{1B00}'..='\u{1B7F}' // Balinese
        | '\u{3005}'..='\u{3007}' // iteration marks and zero
        | '\u{3040}'..='\u{312F}' // Hiragana, Katakana, Bopomofo
        | '\u{31A0}'..='\u{31FF}' // their extensions
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' // Han
        | '\u{A980}'..='\u{A9DF}' // Javanese
        | '\u{AA80}'..='\u{AADF}' // Tai Viet
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}') // more Han
}

/// A query for users, folded and split into words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserQuery {
    /// The words with one space between them.
    whole: String,
    words: Vec<String>,
}

/// How well a name matches a query. The best match comes first in the order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NameMatch {
    /// The query is the username or the whole display name.
    Exact,
    /// Each word of the query is at the beginning of a word of the name.
    Beginning,
    /// At least one word of the query is only inside a word of the name.
    Inside,
}

impl UserQuery {
    /// Reads a query, without an `@` at its beginning. Returns `None` if no character is left after folding, as for a
    /// single accent, because such a query would match every name.
    pub fn parse(query: &str) -> Option<Self> {
        let folded = text::fold(query.trim());
        let folded = folded.trim_start();
        let name = folded.strip_prefix('@').filter(|rest| !rest.trim().is_empty()).unwrap_or(folded);
        let words: Vec<String> = name.split_whitespace().take(limits::USER_QUERY_WORDS).map(str::to_owned).collect();
        (!words.is_empty()).then(|| Self { whole: words.join(" "), words })
    }

    /// Returns the folded words of the query; there is at least one.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Compares the query with the result of [`searchable_text`]. Returns `None` if it does not match.
    pub fn rate(&self, text: &str) -> Option<NameMatch> {
        let chunks: Vec<&str> = text.split_whitespace().collect();
        let (username, display_name) = chunks.split_first()?;
        if *username == self.whole || display_name.join(" ") == self.whole {
            return Some(NameMatch::Exact);
        }
        let chunks: Vec<Vec<char>> = chunks.iter().map(|chunk| chunk.chars().collect()).collect();
        let mut worst = NameMatch::Beginning;
        for word in &self.words {
            worst = worst.max(rate_word(&word.chars().collect::<Vec<_>>(), &chunks)?);
        }
        Some(worst)
    }
}

fn rate_word(word: &[char], chunks: &[Vec<char>]) -> Option<NameMatch> {
    let mut best = None;
    for chunk in chunks {
        for (at, _) in chunk.windows(word.len()).enumerate().filter(|(_, window)| *window == word) {
            if is_word_start(chunk, at) {
                return Some(NameMatch::Beginning);
            }
            best = best.or((word.len() >= INSIDE_CHARS).then_some(NameMatch::Inside));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn match_query(query: &str, username: &str, display_name: &str) -> Option<NameMatch> {
        UserQuery::parse(query).expect("a query").rate(&searchable_text(username, display_name))
    }

    #[test]
    fn a_query_finds_the_beginning_of_any_word_and_with_three_characters_the_inside() {
        for (query, expected) in [
            ("a", Some(NameMatch::Beginning)),
            ("ANNA.B", Some(NameMatch::Beginning)),
            ("B", Some(NameMatch::Beginning)),
            ("schmidt", Some(NameMatch::Beginning)),
            ("anna.berg", Some(NameMatch::Exact)),
            ("Änna  Schmidt", Some(NameMatch::Exact)),
            ("ann sch", Some(NameMatch::Beginning)),
            ("sch ann", Some(NameMatch::Beginning)),
            ("nna", Some(NameMatch::Inside)),
            ("mid", Some(NameMatch::Inside)),
            ("nn", None),
            ("ann mid", Some(NameMatch::Inside)),
            ("ann x", None),
            ("annas", None),
        ] {
            assert_eq!(match_query(query, "anna.berg", "Änna Schmidt"), expected, "{query}");
        }
    }

    #[test]
    fn an_at_sign_before_a_name_is_ignored_and_sql_operators_are_plain_characters() {
        assert_eq!(match_query("@bob", "bob", "Robert"), Some(NameMatch::Exact));
        assert_eq!(match_query(" @bo", "bob", "Robert"), Some(NameMatch::Beginning));
        assert_eq!(match_query("＠bo", "bob", "Robert"), Some(NameMatch::Beginning));
        assert_eq!(match_query("@", "bob", "me@home"), Some(NameMatch::Beginning));
        for operator in ["%", "_", "*", "\\"] {
            assert_eq!(match_query(operator, "bob", "Robert"), None);
            assert_eq!(
                match_query(operator, "bob", &format!("100{operator}")),
                Some(NameMatch::Beginning),
                "{operator}"
            );
        }
        for nothing in ["", "  ", "\u{301}"] {
            assert_eq!(UserQuery::parse(nothing), None);
        }
    }

    #[test]
    fn names_of_every_script_are_found() {
        for (query, name) in [
            ("dang", "Đặng Thị Hà"),
            ("thi h", "Đặng Thị Hà"),
            ("strasse", "Straße"),
            ("lodz", "Łódź"),
            ("orsted", "Ørsted"),
            ("伟", "张伟"),
            ("张", "张伟"),
            ("ชาย", "สมชาย ใจดี"),
            ("ใจ", "สมชายใจดี"),
            ("さくら", "山田さくら"),
            ("철수", "김철수"),
            ("김", "김철수"),
            ("οδυσσευσ", "Οδυσσεύς"),
            ("🎉", "Anna🎉"),
        ] {
            assert!(match_query(query, "username", name).is_some(), "{query} in {name}");
            let query = UserQuery::parse(query).expect("a query");
            let words = indexed_words(&searchable_text("username", name));
            for word in query.words() {
                let indexed = words.iter().any(|indexed| indexed.word.starts_with(word));
                assert!(indexed, "{word} is in the index of {name}: {words:?}");
            }
        }
    }

    #[test]
    fn the_index_of_a_name_is_bounded() {
        assert!(indexed_words(&searchable_text(&"x".repeat(32), &"ab ".repeat(85))).len() < 100);
        let long = indexed_words(&searchable_text("x", &"\u{FDFA}".repeat(255)));
        assert!(long.len() <= MAX_INDEXED_WORDS && long.iter().all(|row| row.word.chars().count() <= INDEXED_CHARS));
    }
}
