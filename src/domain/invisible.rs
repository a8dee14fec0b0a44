//! What in a name nobody sees, or nobody should have to: invisible characters that neither a script nor an emoji needs, and
//! towers of marks.

use super::characters::{is_ignorable, is_mark_on_a_letter, is_word};
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
const LAST_TAG: char = '\u{E007F}';
const MONGOLIAN_VOWEL_SEPARATOR: char = '\u{180E}';

/// Scripts whose letters change their form with their neighbours, which a joiner or non-joiner between them decides.
const JOINING: [Script; 18] = [
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

/// Whether a text holds an invisible character that is not needed where it stands: what controls, what directs, what fills;
/// a joiner outside of a script or an emoji that joins, a selector on what has no variants, a tag outside of a flag.
pub fn is_in(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let (before, after) = (at.checked_sub(1).map(|at| letters[at]), letters.get(at + 1).copied());
        let needed = match letter {
            JOINER | NON_JOINER => joins_letters(before, after) || (letter == JOINER && joins_emoji(before, after)),
            '\u{FE00}'..=EMOJI_STYLE | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180F}' => {
                before.is_some_and(|before| selects(letter, before, after))
            }
            _ => !is_ignorable(letter) && !shows_nothing(letter),
        };
        if !needed {
            return true;
        }
        at += 1;
        if letter == BLACK_FLAG {
            match tags(&letters[at..]) {
                Some(tags) => at += tags,
                None => return true,
            }
        }
    }
    false
}

/// Whether more than [`limits::MARKS_ON_A_LETTER`] marks stand on one letter, however the text is composed.
pub fn has_towers(text: &str) -> bool {
    let mut marks = 0;
    for letter in text.nfd().filter(|letter| !is_ignorable(*letter) || is_mark_on_a_letter(*letter)) {
        if is_mark_on_a_letter(letter) {
            marks += 1;
        } else if !unicode_normalization::char::is_combining_mark(letter) {
            marks = 0;
        }
        if marks > limits::MARKS_ON_A_LETTER {
            return true;
        }
    }
    false
}

/// Controls, separators of lines, annotations, and a letter of which no dot is raised.
fn shows_nothing(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{2800}' | '\u{FFF9}'..='\u{FFFB}')
}

fn is_of(letter: char, script: Script) -> bool {
    ScriptWithExtensions::new().has_script(letter, script)
}

/// After a sign that takes the vowel away a joiner decides how the letter looks; else between two letters that join.
fn joins_letters(before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    if CodePointMapData::<CanonicalCombiningClass>::new().get(before) == CanonicalCombiningClass::Virama {
        return true;
    }
    let joins = |after: char| JOINING.iter().any(|script| is_of(before, *script) && is_of(after, *script));
    is_word(before) && after.is_some_and(|after| is_word(after) && joins(after))
}

fn joins_emoji(before: Option<char>, after: Option<char>) -> bool {
    let is_picture = |letter: char| CodePointSetData::new::<ExtendedPictographic>().contains(letter);
    let ends = |letter: char| {
        letter == EMOJI_STYLE || is_picture(letter) || CodePointSetData::new::<EmojiModifier>().contains(letter)
    };
    before.is_some_and(ends) && after.is_some_and(is_picture)
}

/// Whether `before` has variants of which `selector` picks one.
fn selects(selector: char, before: char, after: Option<char>) -> bool {
    match selector {
        TEXT_STYLE | EMOJI_STYLE if before.is_ascii() => {
            selector == EMOJI_STYLE && after == Some(KEYCAP) && (before.is_ascii_digit() || "#*".contains(before))
        }
        TEXT_STYLE | EMOJI_STYLE => CodePointSetData::new::<Emoji>().contains(before),
        MONGOLIAN_VOWEL_SEPARATOR => {
            is_of(before, Script::Mongolian) && after.is_some_and(|after| is_of(after, Script::Mongolian))
        }
        '\u{180B}'..='\u{180F}' => is_of(before, Script::Mongolian) && is_word(before),
        '\u{FE00}'..='\u{FE0D}' => [Script::Han, Script::Myanmar, Script::PhagsPa].iter().any(|it| is_of(before, *it)),
        _ => is_of(before, Script::Han) && is_word(before),
    }
}

/// How many tags follow a black flag, none or those of a region with their end; `None` if they are no such.
fn tags(letters: &[char]) -> Option<usize> {
    let is_tag = |letter: &&char| matches!(**letter, '\u{E0020}'..='\u{E007F}');
    let count = letters.iter().take_while(is_tag).count();
    let of_a_region = |letter: &char| matches!(*letter, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}');
    match letters[..count].split_last() {
        None => Some(0),
        Some((&LAST_TAG, region)) if (3..=6).contains(&region.len()) && region.iter().all(of_a_region) => Some(count),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_and_emoji_need_is_no_invisible_character() {
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
            assert!(!is_in(good), "{good:?}");
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
            assert!(is_in(bad), "{bad:?}");
        }
    }

    #[test]
    fn marks_are_counted_on_each_letter_however_it_is_composed() {
        let four = "\u{301}\u{302}\u{303}\u{304}";
        assert!(!has_towers(&format!("a{four}b{four}")));
        assert!(has_towers(&format!("a{four}\u{305}")));
        assert!(has_towers(&format!("é{four}")) && has_towers(&format!("e\u{301}{four}")));
        assert!(has_towers(&format!("ာ{four}ာ\u{301}")), "marks that take room end no letter");
        for written in ["ệ", "လျှော့", "བསྒྲུབས", "נָ֑", "ที่"] {
            assert!(!has_towers(written), "{written}");
        }
    }
}
