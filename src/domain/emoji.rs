//! Emojis, as people react with them: exactly one that Unicode recommends, in one spelling.

use super::limits;

/// One emoji, in the fully qualified spelling: ❤ and ❤️ are the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Emoji(&'static str);

impl Emoji {
    /// Reads one emoji: a single symbol, a keycap, a flag, a sequence with joiners or with a skin tone. Anything that is no
    /// emoji by itself is refused: text, several of them, a lone modifier, joiner or half of a flag.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ONE: &str = "must be exactly one emoji";
        if text.len() > limits::EMOJI_BYTES {
            return Err(ONE);
        }
        emojis::get(text).map(|emoji| Self(emoji.as_str())).ok_or(ONE)
    }

    /// In its one spelling.
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
    fn what_is_not_one_emoji_is_refused() {
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
