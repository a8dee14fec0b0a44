//! Links in what people write: where a web address begins and ends in a text.

/// The web addresses in a text, in their order, as they were written. An address begins with `http://` or `https://`, not
/// in the middle of a word, and ends before white space, an angle bracket or a quotation mark; the punctuation that ends a
/// sentence or closes a bracket is not part of it.
pub fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("://").map(|at| rest + at) {
        rest = at + 3;
        // first, so that no text is looked at twice: whoever writes ten thousand characters says what they are
        if !text[rest..].starts_with(|letter: char| letter.is_alphanumeric() || letter == '[') {
            continue;
        }
        let Some(start) = scheme(text, at) else { continue };
        let ends = |letter: char| letter.is_whitespace() || letter.is_control() || "<>\"".contains(letter);
        let length = text[rest..].find(ends).unwrap_or(text.len() - rest);
        rest += text[rest..rest + length].trim_end_matches(|letter: char| ".,;:!?'*_~)]}".contains(letter)).len();
        found.push(&text[start..rest]);
    }
    found
}

/// Where the scheme that ends at `end` begins.
fn scheme(text: &str, end: usize) -> Option<usize> {
    ["https", "http"].into_iter().find_map(|scheme| {
        let start = end.checked_sub(scheme.len())?;
        let word = text.get(start..end)?;
        let inside_word = text[..start].chars().next_back().is_some_and(char::is_alphanumeric);
        (word.eq_ignore_ascii_case(scheme) && !inside_word).then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_without_the_sentence_around_it() {
        assert_eq!(links("see https://example.org/a?b=c#d."), ["https://example.org/a?b=c#d"]);
        assert_eq!(
            links("(HTTP://example.org/), and <https://b.example>"),
            ["HTTP://example.org/", "https://b.example"]
        );
        assert_eq!(links("https://một.vn/đường\nhttp://[::1]:80/x"), ["https://một.vn/đường", "http://[::1]:80/x"]);
        assert_eq!(links("http://a.example http://a.example").len(), 2, "each time it is written");
    }

    #[test]
    fn a_long_text_is_read_once() {
        // looked at anew from each of these, it would not be done today
        let text = "http://-".repeat(200_000);
        assert_eq!(links(&text), Vec::<&str>::new());
        assert_eq!(links(&format!("{text}http://a.example")), ["http://a.example"]);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "",
            "://",
            "http://",
            "https:// x",
            "xhttp://a.example",
            "ftp://a.example",
            "http:/a",
            "é://a",
            "http://...",
        ] {
            assert_eq!(links(text), Vec::<&str>::new(), "{text}");
        }
    }
}
