//! How the search of users finds names: what of a name is in the index, and what of it a query matches.
//!
//! Names and queries are folded ([`text::fold`]). Words are parted by white space, and inside one a word may begin
//! after anything that is no letter or digit, at such a sign itself, and at each letter of a script that is written
//! without spaces. A query matches where each of its words begins a word, or, from three characters on, is inside one.

use super::text;
use std::collections::BTreeSet;

/// Characters of a word that the index holds, and of a query's word that are looked up in it.
pub const INDEXED_CHARS: usize = 32;
/// Rows of the index for one user at most.
const MOST_WORDS: usize = 512;
/// Characters from which on a query's word is also looked for inside words.
pub const INSIDE_CHARS: usize = 3;
/// Words of a query that count.
const QUERY_WORDS: usize = 8;

/// One row of the index: what a word holds from some place on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Word {
    /// Whether the place is inside the word, and not where one begins.
    pub inside: bool,
    /// At most [`INDEXED_CHARS`] characters from there on.
    pub word: String,
}

/// What the search of users looks in, for a user of these names.
pub fn text_of(username: &str, display_name: &str) -> String {
    text::fold(&format!("{username} {display_name}"))
}

/// The rows of the index for a user whose names are folded in `text`. A migration has its own copy of this: whoever
/// changes it writes one that fills the index anew.
pub fn words(text: &str) -> BTreeSet<Word> {
    let mut words = BTreeSet::new();
    for chunk in text.split_whitespace() {
        let letters: Vec<char> = chunk.chars().collect();
        for at in 0..letters.len() {
            let inside = !begins(&letters, at);
            if words.len() < MOST_WORDS && (!inside || letters.len() - at >= INSIDE_CHARS) {
                words.insert(Word { inside, word: letters[at..].iter().take(INDEXED_CHARS).collect() });
            }
        }
    }
    words
}

/// Whether a word begins at a place.
fn begins(letters: &[char], at: usize) -> bool {
    let apart = |letter: char| !letter.is_alphanumeric() || is_written_without_spaces(letter);
    at == 0 || apart(letters[at - 1]) || apart(letters[at])
}

/// Letters of scripts that put no space between words.
fn is_written_without_spaces(letter: char) -> bool {
    matches!(letter,
        '\u{E00}'..='\u{FFF}' // Thai, Lao, Tibetan
        | '\u{1000}'..='\u{109F}' // Myanmar
        | '\u{1780}'..='\u{17FF}' // Khmer
        | '\u{1950}'..='\u{19FF}' // Tai Le, New Tai Lue, Khmer symbols
        | '\u{1A20}'..='\u{1AAF}' // Tai Tham
        | '\u{1B00}'..='\u{1B7F}' // Balinese
        | '\u{3005}'..='\u{3007}' // signs of repetition and zero
        | '\u{3040}'..='\u{312F}' // Hiragana, Katakana, Bopomofo
        | '\u{31A0}'..='\u{31FF}' // their extensions
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' // Han
        | '\u{A980}'..='\u{A9DF}' // Javanese
        | '\u{AA80}'..='\u{AADF}' // Tai Viet
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}') // more Han
}

/// What is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Its words, folded, one space apart.
    whole: String,
    words: Vec<String>,
}

/// How well a name matches, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Match {
    /// It is the username, or the whole display name.
    Exact,
    /// Each word of the query begins one of the name.
    Beginning,
    /// A word of the query is inside one of the name.
    Inside,
}

impl Query {
    /// What `query` looks for; an `@` at its beginning is not a part of it. None where nothing is left, as of a lone
    /// accent, which could be found everywhere.
    pub fn parse(query: &str) -> Option<Self> {
        let folded = text::fold(query.trim());
        let folded = folded.trim_start();
        let named = folded.strip_prefix('@').filter(|rest| !rest.trim().is_empty()).unwrap_or(folded);
        let words: Vec<String> = named.split_whitespace().take(QUERY_WORDS).map(str::to_owned).collect();
        (!words.is_empty()).then(|| Self { whole: words.join(" "), words })
    }

    /// Its words.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How well it matches the names folded in `text`, if it does.
    pub fn matches(&self, text: &str) -> Option<Match> {
        let chunks: Vec<&str> = text.split_whitespace().collect();
        let (username, display_name) = chunks.split_first()?;
        if *username == self.whole || display_name.join(" ") == self.whole {
            return Some(Match::Exact);
        }
        let chunks: Vec<Vec<char>> = chunks.iter().map(|chunk| chunk.chars().collect()).collect();
        let mut worst = Match::Beginning;
        for word in &self.words {
            worst = worst.max(found(&word.chars().collect::<Vec<_>>(), &chunks)?);
        }
        Some(worst)
    }
}

fn found(word: &[char], chunks: &[Vec<char>]) -> Option<Match> {
    let mut best = None;
    for chunk in chunks {
        for (at, _) in chunk.windows(word.len()).enumerate().filter(|(_, window)| *window == word) {
            if begins(chunk, at) {
                return Some(Match::Beginning);
            }
            best = best.or((word.len() >= INSIDE_CHARS).then_some(Match::Inside));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, username: &str, display_name: &str) -> Option<Match> {
        Query::parse(query).expect("a query").matches(&text_of(username, display_name))
    }

    #[test]
    fn the_beginning_of_any_word_is_found_and_what_is_inside_from_three_characters_on() {
        for (query, expected) in [
            ("a", Some(Match::Beginning)),
            ("ANNA.B", Some(Match::Beginning)),
            ("B", Some(Match::Beginning)),
            ("schmidt", Some(Match::Beginning)),
            ("anna.berg", Some(Match::Exact)),
            ("Änna  Schmidt", Some(Match::Exact)),
            ("ann sch", Some(Match::Beginning)),
            ("sch ann", Some(Match::Beginning)),
            ("nna", Some(Match::Inside)),
            ("mid", Some(Match::Inside)),
            ("nn", None),
            ("ann mid", Some(Match::Inside)),
            ("ann x", None),
            ("annas", None),
        ] {
            assert_eq!(found(query, "anna.berg", "Änna Schmidt"), expected, "{query}");
        }
    }

    #[test]
    fn an_at_sign_before_a_name_is_left_out_and_what_is_an_operator_elsewhere_is_a_character() {
        assert_eq!(found("@bob", "bob", "Robert"), Some(Match::Exact));
        assert_eq!(found(" @bo", "bob", "Robert"), Some(Match::Beginning));
        assert_eq!(found("＠bo", "bob", "Robert"), Some(Match::Beginning));
        assert_eq!(found("@", "bob", "me@home"), Some(Match::Beginning));
        for operator in ["%", "_", "*", "\\"] {
            assert_eq!(found(operator, "bob", "Robert"), None);
            assert_eq!(found(operator, "bob", &format!("100{operator}")), Some(Match::Beginning), "{operator}");
        }
        for nothing in ["", "  ", "\u{301}"] {
            assert_eq!(Query::parse(nothing), None);
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
            assert!(found(query, "somebody", name).is_some(), "{query} in {name}");
            let query = Query::parse(query).expect("a query");
            let words = words(&text_of("somebody", name));
            for word in query.words() {
                let indexed = words.iter().any(|indexed| indexed.word.starts_with(word));
                assert!(indexed, "{word} is in the index of {name}: {words:?}");
            }
        }
    }

    #[test]
    fn the_index_of_a_name_is_bounded() {
        assert!(words(&text_of(&"x".repeat(32), &"ab ".repeat(85))).len() < 100);
        let long = words(&text_of("x", &"\u{FDFA}".repeat(255)));
        assert!(long.len() <= MOST_WORDS && long.iter().all(|row| row.word.chars().count() <= INDEXED_CHARS));
    }
}
