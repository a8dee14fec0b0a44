//! Classifies single characters by the Unicode character database.

use icu_properties::props::{Alphabetic, DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};

/// Returns whether a character is invisible by itself, such as joiners, variation selectors, directional marks and
/// fillers (the Unicode property `Default_Ignorable_Code_Point`). White space is not ignorable.
pub fn is_ignorable(letter: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

/// Returns whether a character is part of a word: a letter, a digit, or a mark on one.
pub fn is_word_character(letter: char) -> bool {
    use GeneralCategory::{DecimalNumber, EnclosingMark, LetterNumber, NonspacingMark, OtherNumber, SpacingMark};
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    let number_or_mark =
        matches!(category, DecimalNumber | LetterNumber | OtherNumber | NonspacingMark | SpacingMark | EnclosingMark);
    number_or_mark || CodePointSetData::new::<Alphabetic>().contains(letter)
}

/// Returns whether a character is a mark that is drawn on the letter before it and takes no width.
pub fn is_zero_width_mark(letter: char) -> bool {
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
pub fn may_precede_word(letter: char) -> bool {
    if !is_word_character(letter) {
        return true;
    }
    if is_zero_width_mark(letter) {
        return SCRIPTS_WITHOUT_SPACES.contains(&CodePointMapData::<Script>::new().get(letter));
    }
    SCRIPTS_WITHOUT_SPACES.iter().any(|script| ScriptWithExtensions::new().has_script(letter, *script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_classified() {
        for letter in ['a', 'é', '5', '文', 'ี', '\u{301}', 'ー', '々'] {
            assert!(is_word_character(letter), "{letter:?}");
        }
        for other in ['.', '_', '👍', '。', '\u{200D}'] {
            assert!(!is_word_character(other), "{other:?}");
        }
        for letter in ['文', 'ี', 'か', 'ー', '々', 'ខ', '.', ' '] {
            assert!(may_precede_word(letter), "{letter:?}");
        }
        for letter in ['a', 'é', '5', '한', 'ش', '\u{301}', 'Ａ'] {
            assert!(!may_precede_word(letter), "{letter:?}");
        }
        for hidden in ['\u{200B}', '\u{200D}', '\u{FE0F}', '\u{3164}', '\u{E0067}', '\u{AD}'] {
            assert!(is_ignorable(hidden), "{hidden:?}");
        }
        assert!(!is_ignorable(' ') && !is_ignorable('a'));
        assert!(is_zero_width_mark('\u{301}') && is_zero_width_mark('\u{20E3}') && !is_zero_width_mark('ျ'));
    }
}
