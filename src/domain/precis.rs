//! Prepares passwords for comparison with the `OpaqueString` profile of RFC 8265.
//!
//! A password is the same however a keyboard composes its letters. Every space character becomes U+0020, and then the
//! text becomes NFC. Characters outside the PRECIS `FreeformClass` (RFC 8264) are forbidden.
//!
//! Two rules differ from the RFC. Characters are classified by the current Unicode version, not by version 6.3 of the
//! PRECIS registry, which would forbid every emoji since 2013. And they are classified after NFC, because macOS types
//! Hangul as conjoining letters, which the class forbids; NFC composes them to syllables, which the class contains.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The canonical combining class of a virama, which joins consonants.
const VIRAMA: u8 = 9;

/// Returns the form of a password that is compared and hashed; `None` if the password contains a forbidden character.
pub fn prepare_password(text: &str) -> Option<String> {
    let prepared: String = text.chars().map(plain_space).nfc().collect();
    let letters: Vec<char> = prepared.chars().collect();
    (0..letters.len()).all(|at| is_allowed(&letters, at)).then_some(prepared)
}

fn plain_space(letter: char) -> char {
    if letter.general_category() == GeneralCategory::SpaceSeparator { ' ' } else { letter }
}

/// Returns whether the class contains the character at the offset `at` (RFC 8264, section 8).
fn is_allowed(letters: &[char], at: usize) -> bool {
    let letter = letters[at];
    match letter {
        // These are the exceptions of RFC 5892.
        '\u{640}' | '\u{7FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => false,
        '\u{B7}' | '\u{375}' | '\u{5F3}' | '\u{5F4}' | '\u{30FB}' | '\u{200C}' | '\u{200D}' => {
            is_allowed_in_context(letters, at)
        }
        '\u{660}'..='\u{669}' => !letters.iter().any(|other| ('\u{6F0}'..='\u{6F9}').contains(other)),
        '\u{6F0}'..='\u{6F9}' => !letters.iter().any(|other| ('\u{660}'..='\u{669}').contains(other)),
        _ if is_old_jamo(letter) || is_ignorable(letter) => false,
        _ => match letter.general_category_group() {
            GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Mark
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol => true,
            GeneralCategoryGroup::Separator => letter == ' ',
            // Control, format, private-use and unassigned characters are forbidden.
            GeneralCategoryGroup::Other => false,
        },
    }
}

/// Returns whether a character is a conjoining letter of Hangul that NFC has not composed to a syllable.
fn is_old_jamo(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97C}' | '\u{D7B0}'..='\u{D7C6}' | '\u{D7CB}'..='\u{D7FB}')
}

/// Returns whether a character has the Unicode property `Default_Ignorable_Code_Point`, so that it is invisible.
fn is_ignorable(letter: char) -> bool {
    matches!(letter, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns whether the neighbours allow a character that is allowed only in some contexts (RFC 5892, appendix A).
fn is_allowed_in_context(letters: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| letters[before]);
    let after = letters.get(at + 1).copied();
    match letters[at] {
        // Catalan middle dot.
        '\u{B7}' => before == Some('l') && after == Some('l'),
        // Greek numeral sign.
        '\u{375}' => after.is_some_and(|letter| matches!(letter, '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}')),
        // Hebrew punctuation.
        '\u{5F3}' | '\u{5F4}' => {
            before.is_some_and(|letter| matches!(letter, '\u{591}'..='\u{5F4}' | '\u{FB1D}'..='\u{FB4F}'))
        }
        // Katakana middle dot.
        '\u{30FB}' => letters.iter().any(|letter| is_japanese(*letter)),
        '\u{200D}' => before.is_some_and(|letter| canonical_combining_class(letter) == VIRAMA),
        '\u{200C}' => {
            before.is_some_and(|letter| canonical_combining_class(letter) == VIRAMA)
                || before.is_some_and(is_cursive) && after.is_some_and(is_cursive)
        }
        _ => false,
    }
}

fn is_japanese(letter: char) -> bool {
    matches!(letter, '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{309D}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}'
        | '\u{30FD}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9D}' | '\u{20000}'..='\u{3FFFD}')
}

/// Returns whether a character belongs to a script with joined letters: Arabic, Syriac, N'Ko, Mandaic or Mongolian,
/// with their marks.
fn is_cursive(letter: char) -> bool {
    matches!(letter, '\u{610}'..='\u{6FF}' | '\u{700}'..='\u{77F}' | '\u{7C0}'..='\u{7FF}' | '\u{840}'..='\u{8FF}'
        | '\u{1807}'..='\u{18AA}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_composition_of_a_password_has_the_same_prepared_form() {
        for (typed, compared) in [
            ("Mot de passé", "Mot de passé"),
            ("Mot de passe\u{301}", "Mot de passé"),
            ("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}", "한글"),
            ("correct\u{A0}horse\u{3000}battery", "correct horse battery"),
            ("\u{212B}ngstrom", "Ångstrom"),
            ("  Spaces stay  ", "  Spaces stay  "),
            ("πßå 🥳🤗 १२३ ﬁ", "πßå 🥳🤗 १२३ ﬁ"),
            ("col·lecció", "col·lecció"),
            ("می\u{200C}خواهم", "می\u{200C}خواهم"),
            ("क्\u{200D}ष", "क्\u{200D}ष"),
            ("カ・タ", "カ・タ"),
        ] {
            assert_eq!(prepare_password(typed).as_deref(), Some(compared), "{typed:?}");
        }
    }

    #[test]
    fn characters_that_a_user_cannot_type_again_are_forbidden() {
        for forbidden in [
            "pass\0word",
            "pass\tword",
            "pass\u{7F}word",
            "pass\u{200B}word",
            "pass\u{AD}word",
            "pass\u{200D}word",
            "pass\u{200C}word",
            "pass\u{2028}word",
            "pass\u{E000}word",
            "pass\u{FFFF}word",
            "pass\u{378}word",
            "pass\u{202E}word",
            "pass\u{1100}word",
            "pass\u{FE0F}word",
            "pass\u{640}word",
            "a·b",
            "١۱",
            "a・b",
        ] {
            assert_eq!(prepare_password(forbidden), None, "{forbidden:?}");
        }
    }
}
