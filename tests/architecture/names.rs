//! The rules about names and comments: no type name twice, no banned word, no public item without an explanation.

use super::source::Source;
use std::collections::BTreeMap;

/// Words that have several meanings in this project, or that are metaphors, each with what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("anybody", "a user, a client, another transaction"),
    ("door", "the term of the glossary"),
    ("gave", "returned, sent"),
    ("house", "project"),
    ("lobby", "the term of the glossary"),
    ("office", "the term of the glossary"),
    ("place", "seq, position or permit"),
    ("places", "permits"),
    ("pulse", "wakeup"),
    ("somebody", "a user, a client, another transaction"),
    ("standing", "state"),
    ("stranger", "unauthenticated client"),
    ("strangers", "unauthenticated clients"),
    ("told", "notified, informed"),
    ("whoever", "the user who, the client that"),
    ("whomever", "the user whom"),
];

/// Names that contain a banned word and do not change, each with the file that may use it: names in the database, in
/// the output for operators, of migrations and of libraries.
const ALLOWED: &[(&str, &str)] = &[
    ("migration/src/lib.rs", "m20261120_000008_places"),
    ("migration/src/m20261120_000004_messages.rs", "hidden_messages_place"),
    ("migration/src/m20261120_000004_messages.rs", "message_links_place"),
    ("migration/src/m20261120_000005_files.rs", "uploads_place"),
    ("migration/src/m20261120_000005_files.rs", "uploads_place_in_message"),
    ("migration/src/m20261120_000006_notifications.rs", "notifications_message_with_place"),
    ("migration/src/m20261120_000008_places.rs", "place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "hidden_messages_place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "message_links_place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "notifications_message_with_place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "reactions_place_check"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "uploads_place"),
    ("migration/src/m20261130_000020_message_keys/postgres.rs", "uploads_place_in_message"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "hidden_messages_place"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "message_links_place"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "notifications_message_with_place"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "place"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "uploads_place"),
    ("migration/src/m20261130_000020_message_keys/sqlite.rs", "uploads_place_in_message"),
    ("src/admission/refusals.rs", "strangers"),
    ("tests/embedded/migrations/message_keys.rs", "place"),
    ("tests/embedded/repairs.rs", "block_in_place"),
];

/// Banned words that are plain English in texts for users.
const FOR_USERS: &[&str] = &["anybody", "gave", "place", "places", "somebody"];

/// The kinds of items that name a type.
const TYPES: &[&str] = &["struct", "enum", "trait", "type", "union"];

/// No type name occurs twice in `src`. Associated types of traits are not names of their own.
pub fn type_names(files: &[Source]) -> Vec<String> {
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let Some((kind, name)) = declared_type(line) else { continue };
            let associated = kind == "type" && line.starts_with(' ');
            if !associated {
                lines.entry(name).or_default().push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    let twice = lines.into_iter().filter(|(_, at)| at.len() > 1);
    twice.map(|(name, at)| format!("`{name}` is the name of {} types: {}", at.len(), at.join(", "))).collect()
}

/// Returns the keyword and the name if a line declares a type.
fn declared_type(line: &str) -> Option<(&str, &str)> {
    let mut words = without_visibility(line.trim_start()).split_whitespace();
    let kind = words.next().filter(|word| TYPES.contains(word))?;
    let name = words.next()?;
    let end = name.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(name.len());
    let name = &name[..end];
    name.starts_with(char::is_uppercase).then_some((kind, name))
}

fn without_visibility(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else { return line };
    match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => rest.trim_start(),
        None => rest.trim_start(),
    }
}

/// No banned word is part of a name, a comment or a text.
pub fn banned_words(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let names = line.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
            for word in names.filter(|name| !ALLOWED.contains(&(&*file.path, *name))).flat_map(words) {
                let banned = BANNED.iter().find(|(banned, _)| word.eq_ignore_ascii_case(banned));
                let is_for_users = |banned: &str| file.path.starts_with("static/") && FOR_USERS.contains(&banned);
                if let Some((banned, instead)) = banned.filter(|(banned, _)| !is_for_users(banned)) {
                    broken.push(format!("{}:{}: write {instead} instead of `{banned}`", file.path, index + 1));
                }
            }
        }
    }
    broken
}

/// Returns the words of a name. Each part of a name in `snake_case` or `CamelCase` is a word.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let pieces = name.split(|character: char| !character.is_ascii_alphabetic());
    pieces.flat_map(|piece| {
        let mut starts: Vec<usize> = vec![0];
        let bytes = piece.as_bytes();
        starts.extend(
            (1..bytes.len()).filter(|&at| bytes[at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase()),
        );
        starts.push(piece.len());
        starts.windows(2).map(|pair| &piece[pair[0]..pair[1]]).collect::<Vec<_>>()
    })
}

/// Every public type and function is explained by a sentence of at least three words. Fields and variants need none.
pub fn explained(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.untested().lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = public_item(line) else { continue };
            let above = lines[..index].iter().rev().map(|line| line.trim());
            // Attributes may be between the comment and the item.
            let comment: Vec<&str> = above
                .skip_while(|line| !line.starts_with("//") && !line.is_empty() && !line.ends_with(['{', '}', ';']))
                .take_while(|line| line.starts_with("///"))
                .collect();
            let count = comment.iter().flat_map(|line| line.trim_start_matches('/').split_whitespace()).count();
            if count < 3 {
                broken.push(format!("{}:{}: say in a sentence what `{name}` is for", file.path, index + 1));
            }
        }
    }
    broken
}

/// Returns the name of the type or function if a line begins a public one.
fn public_item(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let mut words = rest.split_whitespace().skip_while(|word| ["async", "const", "unsafe"].contains(word));
    let kind = words.next()?;
    if kind != "fn" && !TYPES.contains(&kind) {
        return None;
    }
    let name = words.next()?;
    let end = name.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(name.len());
    (end > 0).then_some(&name[..end])
}
