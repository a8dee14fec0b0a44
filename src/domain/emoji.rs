//! Reads the emoji of a reaction: exactly one emoji that Unicode recommends, in one spelling.

use super::limits;

/// One emoji in the fully qualified spelling, so that ❤ and ❤️ are the same emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Emoji(&'static str);

impl Emoji {
    /// Reads one emoji: a symbol, a keycap, a flag, or a sequence with joiners or a skin tone. Text, several emojis,
    /// and a single modifier, joiner or half of a flag are errors.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const NOT_ONE_EMOJI: &str = "must be exactly one emoji";
        if text.len() > limits::EMOJI_BYTES {
            return Err(NOT_ONE_EMOJI);
        }
        emojis::get(text).map(|emoji| Self(emoji.as_str())).ok_or(NOT_ONE_EMOJI)
    }

    /// Returns the fully qualified spelling.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_emoji_is_one() {
        let emojis = [
            "👍",
            "👍🏽",
            "❤️",
            "#️⃣",
            "7️⃣",
            "🇻🇳",
            "🏴\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
            "👨‍👩‍👧‍👦",
            "🏳️‍🌈",
            "👩🏾‍🤝‍👨🏼",
            "🧑🏿‍❤️‍💋‍🧑🏻",
            "❤️‍🔥",
            "🫠",
            "©️",
            "☎️",
        ];
        for emoji in emojis {
            assert_eq!(Emoji::parse(emoji).map(Emoji::as_str), Ok(emoji));
        }
    }

    #[test]
    fn an_emoji_has_one_spelling() {
        for (written, spelled) in [("❤", "❤️"), ("☎", "☎️"), ("🏳‍🌈", "🏳️‍🌈"), ("#⃣", "#️⃣"), ("❤‍🔥", "❤️‍🔥")]
        {
            assert_eq!(Emoji::parse(written).map(Emoji::as_str), Ok(spelled), "{written}");
        }
    }

    #[test]
    fn a_text_that_is_not_exactly_one_emoji_is_refused() {
        let others = [
            "",
            " ",
            "a",
            "7",
            "#",
            "👍👍",
            "👍 ",
            "👍a",
            "\u{1f3fd}",
            "\u{200d}",
            "\u{fe0f}",
            "\u{20e3}",
            "🇻",
            "🇻🇳🇻🇳",
            "👨‍",
            "‍👨",
            "é",
            "文",
            ":+1:",
            "👍\u{fe0e}",
            "\0",
        ];
        for text in others {
            assert!(Emoji::parse(text).is_err(), "{text:?}");
        }
        assert!(Emoji::parse(&"👨‍👩‍👧‍👦".repeat(4)).is_err());
    }

    #[test]
    fn every_emoji_fits() {
        assert!(emojis::iter().all(|emoji| emoji.as_str().len() <= limits::EMOJI_BYTES));
    }
}
