//! What single characters are, by Unicode's own data.

use icu_properties::props::{Alphabetic, DefaultIgnorableCodePoint, GeneralCategory, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether a character shows nothing by itself: joiners, selectors, directional marks, fillers and their like (Unicode's
/// `Default_Ignorable_Code_Point`). White space is none of them.
pub fn is_ignorable(letter: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

/// Whether a character is part of a word: a letter, a digit, or a mark on one.
pub fn is_word(letter: char) -> bool {
    use GeneralCategory::{DecimalNumber, EnclosingMark, LetterNumber, NonspacingMark, OtherNumber, SpacingMark};
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    let number_or_mark =
        matches!(category, DecimalNumber | LetterNumber | OtherNumber | NonspacingMark | SpacingMark | EnclosingMark);
    number_or_mark || CodePointSetData::new::<Alphabetic>().contains(letter)
}

/// Whether a mark stands on the letter before it and takes no room of its own.
pub fn is_mark_on_a_letter(letter: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    matches!(CodePointMapData::<GeneralCategory>::new().get(letter), NonspacingMark | EnclosingMark)
}

/// Scripts that write words without spaces between them.
const WITHOUT_SPACES: [Script; 15] = [
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

/// Whether a word may begin right after `letter`: it is no part of a word, or of a script without spaces. Letters of
/// several scripts count as of each, marks only as of their own: the accents of Latin are used by others too.
pub fn may_stand_before_a_word(letter: char) -> bool {
    if !is_word(letter) {
        return true;
    }
    if is_mark_on_a_letter(letter) {
        return WITHOUT_SPACES.contains(&CodePointMapData::<Script>::new().get(letter));
    }
    WITHOUT_SPACES.iter().any(|script| ScriptWithExtensions::new().has_script(letter, *script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_told_apart() {
        for letter in ['a', 'é', '5', '文', 'ี', '\u{301}', 'ー', '々'] {
            assert!(is_word(letter), "{letter:?}");
        }
        for other in ['.', '_', '👍', '。', '\u{200D}'] {
            assert!(!is_word(other), "{other:?}");
        }
        for letter in ['文', 'ี', 'か', 'ー', '々', 'ខ', '.', ' '] {
            assert!(may_stand_before_a_word(letter), "{letter:?}");
        }
        for letter in ['a', 'é', '5', '한', 'ش', '\u{301}', 'Ａ'] {
            assert!(!may_stand_before_a_word(letter), "{letter:?}");
        }
        for hidden in ['\u{200B}', '\u{200D}', '\u{FE0F}', '\u{3164}', '\u{E0067}', '\u{AD}'] {
            assert!(is_ignorable(hidden), "{hidden:?}");
        }
        assert!(!is_ignorable(' ') && !is_ignorable('a'));
        assert!(is_mark_on_a_letter('\u{301}') && is_mark_on_a_letter('\u{20E3}') && !is_mark_on_a_letter('ျ'));
    }
}
