//! The files that the rules check: their text and, for Rust, the code without comments, strings and tests.

use std::fs;
use std::path::Path;

/// One file of the repository, with its path from the root.
#[derive(Clone)]
pub struct Source {
    pub path: String,
    pub text: String,
    /// The text with spaces instead of comments and the insides of literals, up to the beginning of its tests. Line
    /// numbers are those of the text. Empty for files that are not Rust.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = if has_extension(path, "rs") { without_tests(&blanked(text)).to_owned() } else { String::new() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Returns the text up to the beginning of its tests.
    pub fn untested(&self) -> &str {
        without_tests(&self.text)
    }

    /// Returns the lines of the code, numbered from one.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Returns true for `name.extension` in any folder.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Reads all text files below these folders and files of the repository, in the order of their paths. Paths that do not
/// exist are left out.
pub fn read(roots: &[&str]) -> Vec<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for root in roots {
        collect(repository, &repository.join(root), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(repository: &Path, path: &Path, sources: &mut Vec<Source>) {
    let name = path.file_name().unwrap_or_default();
    if path.is_dir() && name != "node_modules" && name != "target" {
        let entries = fs::read_dir(path).expect("a readable folder");
        for entry in entries {
            collect(repository, &entry.expect("a readable entry").path(), sources);
        }
    }
    // Images and fonts are not text, and no rule concerns them.
    if path.is_file()
        && let Ok(text) = fs::read_to_string(path)
    {
        let relative = path.strip_prefix(repository).expect("a path below the repository");
        sources.push(Source::new(&relative.to_string_lossy().replace('\\', "/"), &text));
    }
}

/// Unit tests are the last part of their file, so everything from their module on is left out.
fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]\nmod ").map_or(code, |start| &code[..start])
}

/// Replaces comments and the insides of string and character literals by spaces.
fn blanked(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = opaque_end(&characters, at).max(at + 1);
        for &character in &characters[at..end] {
            let keep = end == at + 1 || character == '\n';
            out.push(if keep { character } else { ' ' });
        }
        at = end;
    }
    out
}

/// Returns the end of the comment or literal that begins at `at`, or `at` itself if none begins there.
fn opaque_end(text: &[char], at: usize) -> usize {
    let next = |offset: usize| text.get(at + offset).copied();
    match (text[at], next(1)) {
        ('/', Some('/')) => find(text, at, &['\n']).unwrap_or(text.len()),
        ('/', Some('*')) => block_comment_end(text, at),
        ('r', Some('"' | '#')) if !continues_a_word(text, at) => raw_string_end(text, at),
        ('"', _) => quoted_end(text, at, '"'),
        // A lifetime has no closing quote: 'a' and '\n' are literals, 'a is not.
        ('\'', Some('\\')) => quoted_end(text, at, '\''),
        ('\'', Some(_)) if next(2) == Some('\'') => at + 3,
        _ => at,
    }
}

fn continues_a_word(text: &[char], at: usize) -> bool {
    // `br"…"` and `cr"…"` are raw strings too.
    let before = |offset: usize| at.checked_sub(offset).map(|index| text[index]);
    let word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    word(before(1)) && (word(before(2)) || !matches!(before(1), Some('b' | 'c')))
}

fn quoted_end(text: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < text.len() && text[end] != quote {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(text.len())
}

fn raw_string_end(text: &[char], at: usize) -> usize {
    let hashes = text[at + 1..].iter().take_while(|&&character| character == '#').count();
    if text.get(at + 1 + hashes) != Some(&'"') {
        return at; // `r#match`: an identifier
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    find(text, at + 2 + hashes, &closing).map_or(text.len(), |start| start + closing.len())
}

fn block_comment_end(text: &[char], at: usize) -> usize {
    let (mut depth, mut end) = (1, at + 2);
    while depth > 0 && end < text.len() {
        match (text[end], text.get(end + 1)) {
            ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
            ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
    }
    end.min(text.len())
}

fn find(text: &[char], from: usize, wanted: &[char]) -> Option<usize> {
    (from..text.len()).find(|&start| text[start..].starts_with(wanted))
}
