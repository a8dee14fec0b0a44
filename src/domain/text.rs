//! Folds text for the search and shortens it for previews.

use super::characters::is_ignorable;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Removes case and accents, so that "hoc" finds "Học": the text is decomposed, marks are removed, letters become lower
/// case, and letters without a decomposition (đ, ø, ł, ß …) become their basic Latin letters.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase) {
        match letter {
            'đ' | 'ð' => folded.push('d'),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            // This is the form of sigma at the end of a word.
            'ς' => folded.push('σ'),
            plain if is_combining_mark(plain) => {}
            plain => folded.push(plain),
        }
    }
    folded
}

/// Returns whether no character of `text` is visible: all are white space or ignorable (see [`is_ignorable`]).
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter.is_whitespace() || is_ignorable(letter))
}

/// Returns the beginning of `text` with at most `chars` Unicode scalar values. It never cuts a grapheme cluster, which
/// a user sees as one character. The result is empty if the first cluster is longer than `chars`.
pub fn preview(text: &str, chars: usize) -> String {
    // Every scalar value has at least one byte.
    if text.len() <= chars {
        return text.to_owned();
    }
    let mut remaining = chars;
    let fits = |grapheme: &&str| {
        let count = grapheme.chars().count();
        let fits = count <= remaining;
        remaining = remaining.saturating_sub(count);
        fits
    };
    text.graphemes(true).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_letters_without_a_decomposition_are_folded() {
        assert_eq!(fold("Học Sinh Đẹp"), "hoc sinh dep");
        assert_eq!(fold("Straße Łódź Ørsted İstanbul"), "strasse lodz orsted istanbul");
    }

    #[test]
    fn a_text_without_a_visible_character_is_blank() {
        for blank in ["", " \n", "\u{200B}", "\u{3164} \u{2060}", "\u{FE0F}\u{200D}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for visible in [".", "\u{200B}a", "❤\u{FE0F}", "👩\u{200D}👧", "\u{301}"] {
            assert!(!is_blank(visible), "{visible:?}");
        }
    }

    #[test]
    fn a_preview_counts_characters_and_ends_between_graphemes() {
        assert_eq!(preview("ééé", 2), "éé");
        assert_eq!(preview("ae\u{301}", 2), "a");
        assert_eq!(preview("ae\u{301}b", 3), "ae\u{301}");
        assert_eq!(preview("a\r\nb", 2), "a");
        assert_eq!(preview("🇫🇷🇫🇷", 3), "🇫🇷");
        assert_eq!(preview(&format!("a{}", "\u{301}".repeat(10)), 5), "");
    }
}
