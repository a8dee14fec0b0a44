//! The rules about resources: the store returns rows, and only the assembler makes resources that have several parts,
//! so that no part can be forgotten.

use super::source::Source;

/// The types that only one part of the project constructs, each with the path of that part.
const BUILDERS: &[(&str, &str)] = &[
    ("Conversation", "src/work/assemble/conversations.rs"),
    ("Me", "src/work/assemble/users.rs"),
    ("Message", "src/work/assemble/messages.rs"),
    ("NewMessageRow", "src/work/assemble/new_messages.rs"),
    ("Participant", "src/work/assemble/members.rs"),
    ("PublicUser", "src/work/assemble/users.rs"),
    ("User", "src/work/assemble/"),
];

/// What can come before a type and a brace where no value is constructed.
const DECLARATIONS: &[&str] = &["->", "enum", "for", "impl", "struct", "trait"];

/// Only the assembler constructs a resource that has several parts.
pub fn constructions(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/") && !file.path.ends_with("/tests.rs")) {
        for (line, code) in file.code_lines() {
            for (name, builder) in BUILDERS.iter().filter(|(name, _)| constructs(code, name)) {
                if !file.path.starts_with(builder) {
                    broken.push(format!(
                        "{}:{line}: `{name}` is constructed outside {builder}: return a row and let the assembler \
                         make the resource, so that no part of it is forgotten",
                        file.path
                    ));
                }
            }
        }
    }
    broken
}

/// Returns true if a line contains `Name {` and constructs a value with it, also as `module::Name {`.
fn constructs(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name} {{")).any(|(start, _)| {
        // A module path has no capital letter. After one, the name is a part of a longer name or of an enum's path.
        let before = code[..start].trim_end_matches(|c: char| c.is_lowercase() || c == '_' || c == ':');
        let before = before.trim_end().trim_end_matches("mut").trim_end().trim_end_matches('&');
        let is_declared = before.split_whitespace().next_back().is_some_and(|word| DECLARATIONS.contains(&word));
        !is_declared && !before.ends_with(char::is_alphanumeric)
    })
}

/// The types of `protocol` that the store may return, because one row or one count fills them completely.
const COMPLETE_IN_A_ROW: &[&str] = &[
    "Block",
    "ClassBrief",
    "FormerText",
    "LastMessage",
    "NotifyLevel",
    "OwnView",
    "ReactionUsers",
    "ReadMark",
    "Receipt",
    "Receipts",
    "RevokeReason",
    "UnreadCount",
    "UserBrief",
];

/// The files of `protocol` that define what the log contains.
const LOG_FORMAT: &[&str] = &["envelope", "event_type", "events", "stored_event"];

/// The store uses no type of `protocol` but those that it can fill completely, and those of the log.
pub fn types_of_rows(files: &[Source]) -> Vec<String> {
    const PREFIX: &str = "crate::protocol::";
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/store/")) {
        for (start, _) in file.code.match_indices(PREFIX) {
            let line = file.code[..start].matches('\n').count() + 1;
            let path = file.code[start + PREFIX.len()..].split(';').next().unwrap_or_default();
            let mut names = path.split(|character: char| !character.is_alphanumeric() && character != '_');
            if names.next().is_some_and(|module| LOG_FORMAT.contains(&module)) {
                continue;
            }
            for name in names.filter(|name| name.starts_with(char::is_uppercase)) {
                if !COMPLETE_IN_A_ROW.contains(&name) {
                    broken.push(format!(
                        "{}:{line}: the store uses `{name}`; return a row of the store and make the resource in \
                         src/work/assemble, or add it to COMPLETE_IN_A_ROW if one row fills it",
                        file.path
                    ));
                }
            }
        }
    }
    broken
}
