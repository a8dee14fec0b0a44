//! Text as people search and preview it.

use super::characters::is_ignorable;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// `text` with case and accents folded away, so that "hoc" finds "Học": decomposed, marks dropped, lowercased, and the
/// letters that have no decomposition (đ, ø, ł, ß …) spelled plainly.
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
            // the form of sigma at the end of a word
            'ς' => folded.push('σ'),
            plain if is_combining_mark(plain) => {}
            plain => folded.push(plain),
        }
    }
    folded
}

/// Whether nobody would see anything of `text`: white space, and characters that are not shown by themselves.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter.is_whitespace() || is_ignorable(letter))
}

/// The beginning of `text`, at most so many Unicode scalar values long; it never ends inside of what people see as one
/// character (a grapheme cluster), so it is empty where the first of them is longer.
pub fn preview(text: &str, chars: usize) -> String {
    // every scalar value has a byte at least
    if text.len() <= chars {
        return text.to_owned();
    }
    let mut left = chars;
    let fits = |grapheme: &&str| {
        let count = grapheme.chars().count();
        let fits = count <= left;
        left = left.saturating_sub(count);
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
    fn what_nobody_would_see_is_blank() {
        for blank in ["", " \n", "\u{200B}", "\u{3164} \u{2060}", "\u{FE0F}\u{200D}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for shown in [".", "\u{200B}a", "❤\u{FE0F}", "👩\u{200D}👧", "\u{301}"] {
            assert!(!is_blank(shown), "{shown:?}");
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
