//! Finds characters that a name must not contain: invisible characters that neither a script nor an emoji needs, and
//! too many combining marks on one letter.

use super::characters::{is_ignorable, is_word_character, is_zero_width_mark};
use super::limits;
use icu_properties::props::{CanonicalCombiningClass, Emoji, EmojiModifier, ExtendedPictographic, Script};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';
const TEXT_STYLE: char = '\u{FE0E}';
const EMOJI_STYLE: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const BLACK_FLAG: char = '\u{1F3F4}';
const CANCEL_TAG: char = '\u{E007F}';
const MONGOLIAN_VOWEL_SEPARATOR: char = '\u{180E}';

/// Scripts whose letters change their form with the next letter. A joiner or non-joiner between two letters selects it.
const JOINING_SCRIPTS: [Script; 18] = [
    Script::Arabic,
    Script::Syriac,
    Script::Nko,
    Script::Adlam,
    Script::Mandaic,
    Script::Mongolian,
    Script::Devanagari,
    Script::Bengali,
    Script::Gurmukhi,
    Script::Gujarati,
    Script::Oriya,
    Script::Tamil,
    Script::Telugu,
    Script::Kannada,
    Script::Malayalam,
    Script::Sinhala,
    Script::Khmer,
    Script::Myanmar,
];

/// Returns whether a text contains an invisible character that its neighbours do not need: a control character, a
/// directional mark, a filler, a joiner between characters that do not join, a variation selector after a character
/// without variants, or a tag outside a flag.
pub fn has_needless_invisible(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let (before, after) = (at.checked_sub(1).map(|at| letters[at]), letters.get(at + 1).copied());
        let needed = match letter {
            JOINER | NON_JOINER => joins_letters(before, after) || (letter == JOINER && joins_emoji(before, after)),
            '\u{FE00}'..=EMOJI_STYLE | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180F}' => {
                before.is_some_and(|before| selects(letter, before, after))
            }
            _ => !is_ignorable(letter) && !is_invisible(letter),
        };
        if !needed {
            return true;
        }
        at += 1;
        if letter == BLACK_FLAG {
            match count_flag_tags(&letters[at..]) {
                Some(tags) => at += tags,
                None => return true,
            }
        }
    }
    false
}

/// Returns whether a letter has more than [`limits::COMBINING_MARKS_PER_LETTER`] combining marks. The text is
/// decomposed first, so that marks of composed letters count too.
pub fn has_too_many_marks(text: &str) -> bool {
    let mut marks = 0;
    for letter in text.nfd().filter(|letter| !is_ignorable(*letter) || is_zero_width_mark(*letter)) {
        if is_zero_width_mark(letter) {
            marks += 1;
        } else if !unicode_normalization::char::is_combining_mark(letter) {
            marks = 0;
        }
        if marks > limits::COMBINING_MARKS_PER_LETTER {
            return true;
        }
    }
    false
}

/// Returns whether a character is a control character, a line separator, an annotation character or the empty Braille
/// pattern. None of these is in the property that [`is_ignorable`] reads.
fn is_invisible(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{2800}' | '\u{FFF9}'..='\u{FFFB}')
}

fn has_script(letter: char, script: Script) -> bool {
    ScriptWithExtensions::new().has_script(letter, script)
}

/// Returns whether a joiner or non-joiner is needed between two characters. It is after a virama, which removes the
/// vowel of a consonant, because there it selects the form of the consonant. Otherwise it is between two letters of a
/// joining script.
fn joins_letters(before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    if CodePointMapData::<CanonicalCombiningClass>::new().get(before) == CanonicalCombiningClass::Virama {
        return true;
    }
    let joins =
        |after: char| JOINING_SCRIPTS.iter().any(|script| has_script(before, *script) && has_script(after, *script));
    is_word_character(before) && after.is_some_and(|after| is_word_character(after) && joins(after))
}

fn joins_emoji(before: Option<char>, after: Option<char>) -> bool {
    let is_picture = |letter: char| CodePointSetData::new::<ExtendedPictographic>().contains(letter);
    let ends_emoji = |letter: char| {
        letter == EMOJI_STYLE || is_picture(letter) || CodePointSetData::new::<EmojiModifier>().contains(letter)
    };
    before.is_some_and(ends_emoji) && after.is_some_and(is_picture)
}

/// Returns whether `selector` selects a variant of the character `before`.
fn selects(selector: char, before: char, after: Option<char>) -> bool {
    match selector {
        TEXT_STYLE | EMOJI_STYLE if before.is_ascii() => {
            selector == EMOJI_STYLE && after == Some(KEYCAP) && (before.is_ascii_digit() || "#*".contains(before))
        }
        TEXT_STYLE | EMOJI_STYLE => CodePointSetData::new::<Emoji>().contains(before),
        MONGOLIAN_VOWEL_SEPARATOR => {
            has_script(before, Script::Mongolian) && after.is_some_and(|after| has_script(after, Script::Mongolian))
        }
        '\u{180B}'..='\u{180F}' => has_script(before, Script::Mongolian) && is_word_character(before),
        '\u{FE00}'..='\u{FE0D}' => {
            [Script::Han, Script::Myanmar, Script::PhagsPa].iter().any(|script| has_script(before, *script))
        }
        _ => has_script(before, Script::Han) && is_word_character(before),
    }
}

/// Returns the number of tags after a black flag: 0, or the tags of a region and the cancel tag. Returns `None` if the
/// tags name no region.
fn count_flag_tags(letters: &[char]) -> Option<usize> {
    let is_tag = |letter: &&char| matches!(**letter, '\u{E0020}'..='\u{E007F}');
    let count = letters.iter().take_while(is_tag).count();
    let is_region_tag = |letter: &char| matches!(*letter, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}');
    match letters[..count].split_last() {
        None => Some(0),
        Some((&CANCEL_TAG, region)) if (3..=6).contains(&region.len()) && region.iter().all(is_region_tag) => {
            Some(count)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_that_scripts_and_emoji_need_are_accepted() {
        for good in [
            "می\u{200C}خواهم",
            "क्\u{200D}",
            "র\u{200D}\u{9CD}য",
            "ᠠ\u{180E}ᠠ",
            "ᠠ\u{180B}",
            "👩\u{1F3FD}\u{200D}🚀",
            "🏳\u{FE0F}\u{200D}🌈",
            "#\u{FE0F}\u{20E3}",
            "☎\u{FE0E}",
            "🏴 🏴\u{200D}☠\u{FE0F}",
            "葛\u{E0100} 邉\u{FE00}",
        ] {
            assert!(!has_needless_invisible(good), "{good:?}");
        }
        for bad in [
            "a\u{200C}b",
            "م\u{200C}",
            "م\u{200D}a",
            "\u{200D}👩",
            "👩\u{200C}👩",
            "👩\u{200D}\u{200D}👩",
            "7\u{FE0F}",
            "7\u{FE0E}\u{20E3}",
            "\u{FE0F}",
            "❤\u{FE0F}\u{FE0F}",
            "🏴\u{E007F}",
            "👍\u{E0067}\u{E0062}\u{E0073}\u{E007F}",
            "a\u{180B}",
            "\u{115F}",
            "a\u{34F}b",
            "a\0b",
        ] {
            assert!(has_needless_invisible(bad), "{bad:?}");
        }
    }

    #[test]
    fn marks_are_counted_on_each_letter_however_it_is_composed() {
        let four = "\u{301}\u{302}\u{303}\u{304}";
        assert!(!has_too_many_marks(&format!("a{four}b{four}")));
        assert!(has_too_many_marks(&format!("a{four}\u{305}")));
        assert!(has_too_many_marks(&format!("é{four}")) && has_too_many_marks(&format!("e\u{301}{four}")));
        assert!(has_too_many_marks(&format!("ာ{four}ာ\u{301}")), "a mark with a width does not begin a new letter");
        for written in ["ệ", "လျှော့", "བསྒྲུབས", "נָ֑", "ที่"] {
            assert!(!has_too_many_marks(written), "{written}");
        }
    }
}
