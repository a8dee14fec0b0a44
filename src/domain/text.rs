//! Text as people search and preview it.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

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
            plain if is_combining_mark(plain) => {}
            plain => folded.push(plain),
        }
    }
    folded
}

/// Whether nobody would see anything of `text`: white space, and characters that are not shown by themselves (most of
/// Unicode's `Default_Ignorable_Code_Point`).
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| {
        letter.is_whitespace()
            || matches!(letter, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
                | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
    })
}

/// The first `chars` Unicode scalar values of `text`.
pub fn preview(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
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
    fn a_preview_counts_characters_and_not_bytes() {
        assert_eq!(preview("ééé", 2), "éé");
    }
}
