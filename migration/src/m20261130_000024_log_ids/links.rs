//! Finds the web addresses in a text, as the server found them when this migration was written. The migration has its
//! own copy of this code, because it must never change what it does.

use icu_properties::props::{Alphabetic, DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use std::ops::Range;

/// Returns the web addresses of a text in their order, unchanged.
pub fn links(text: &str) -> Vec<&str> {
    ranges(text).into_iter().map(|range| &text[range]).collect()
}

/// Returns the byte ranges of the web addresses of a text.
///
/// An address begins with `http://`, `https://` or `www.`. It does not begin inside a word, unless the script of the
/// word has no spaces. It ends before white space, an invisible character, an angle bracket, a quotation mark, Chinese
/// or Japanese punctuation, and a closing bracket without an opening one in the address. Punctuation that ends a
/// sentence is not part of the address.
fn ranges(text: &str) -> Vec<Range<usize>> {
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

/// Returns whether a character is invisible by itself, such as joiners, variation selectors, directional marks and
/// fillers (the Unicode property `Default_Ignorable_Code_Point`). White space is not ignorable.
fn is_ignorable(letter: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

/// Returns whether a character is part of a word: a letter, a digit, or a mark on one.
fn is_word_character(letter: char) -> bool {
    use GeneralCategory::{DecimalNumber, EnclosingMark, LetterNumber, NonspacingMark, OtherNumber, SpacingMark};
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    let number_or_mark =
        matches!(category, DecimalNumber | LetterNumber | OtherNumber | NonspacingMark | SpacingMark | EnclosingMark);
    number_or_mark || CodePointSetData::new::<Alphabetic>().contains(letter)
}

/// Returns whether a character is a mark that is drawn on the letter before it and takes no width.
fn is_zero_width_mark(letter: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    matches!(CodePointMapData::<GeneralCategory>::new().get(letter), NonspacingMark | EnclosingMark)
}

/// Scripts that have no spaces between words.
const SCRIPTS_WITHOUT_SPACES: [Script; 15] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Bopomofo,
    Script::Thai,
    Script::Lao,
    Script::Khmer,
    Script::Myanmar,
    Script::Tibetan,
    Script::Javanese,
    Script::Balinese,
    Script::TaiLe,
    Script::NewTaiLue,
    Script::TaiTham,
    Script::TaiViet,
];

/// Returns whether a word may begin directly after `letter`: `letter` is no part of a word, or its script has no
/// spaces. A letter that several scripts use counts for each of them. A mark counts only for its own script, because
/// scripts without spaces use the Latin accents too.
fn may_precede_word(letter: char) -> bool {
    if !is_word_character(letter) {
        return true;
    }
    if is_zero_width_mark(letter) {
        return SCRIPTS_WITHOUT_SPACES.contains(&CodePointMapData::<Script>::new().get(letter));
    }
    SCRIPTS_WITHOUT_SPACES.iter().any(|script| ScriptWithExtensions::new().has_script(letter, *script))
}
