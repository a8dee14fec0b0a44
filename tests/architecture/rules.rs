//! The rules of the project. Each takes files and returns one message for every line that breaks it, which says what to
//! do instead; an empty list means that the rule holds. No rule reads a file, so a test can pass invented ones.

use super::source::{Source, has_extension};
use std::collections::BTreeSet;

/// The modules of the crate in the order in which a message passes them. A module uses only modules of earlier rows, so
/// modules of the same row do not use each other.
const ROWS: &[&[&str]] = &[
    &["config"],
    &["telemetry"],
    &["supervision"],
    &["domain"],
    &["error"],
    &["protocol"],
    &["mailboxes"],
    &["store", "cluster"],
    &["admission"],
    &["app"],
    &["work"],
    &["usecases"],
    &["realtime", "relay"],
    &["http"],
    &["backends"],
    &["startup"],
    &["cli"],
    &["main"],
];

const MAX_LINES: usize = 400;

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Returns the module of a file in `src`: `src/store/log.rs` and `src/store.rs` are both `store`.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// A module uses only the modules before it.
pub fn imports(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let Some(module) = module_of(&file.path).filter(|&module| module != "lib") else { continue };
        let Some(own) = row(module) else {
            broken.push(format!(
                "{}: the module `{module}` is not in the order of modules; add it to src/lib.rs, \
                 docs/architecture.md and ROWS of tests/architecture/rules.rs",
                file.path
            ));
            continue;
        };
        for (line, used) in used_modules(&file.code) {
            if used != module && row(&used).is_some_and(|other| other >= own) {
                broken.push(format!(
                    "{}:{line}: `{module}` uses `{used}`, which does not come before it (the order is in src/lib.rs); \
                     move what is shared to an earlier module, or pass it as an argument or a Recipient",
                    file.path
                ));
            }
        }
        for (line, code) in file.code_lines() {
            if code.contains("super::super::") {
                broken.push(format!("{}:{line}: write `crate::…`, so that the order can be checked", file.path));
            }
        }
    }
    broken
}

/// Returns the modules of the crate that some code names, each with its line: `crate::a::b`, `crate::{a, b::{c, d}}`,
/// and in main.rs `greenroom::a`.
fn used_modules(code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for root in ["crate::", "greenroom::"] {
        for (start, _) in code.match_indices(root) {
            let line = code[..start].matches('\n').count() + 1;
            let rest = &code[start + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => group_heads(group),
                None => vec![leading_word(rest)],
            };
            used.extend(names.into_iter().filter(|name| !name.is_empty()).map(|name| (line, name.to_owned())));
        }
    }
    used
}

/// Returns the first word of every element of a `{…}`. `group` begins after the opening brace.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(leading_word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
        if character == '}' && depth == 0 && start == at + 1 {
            break;
        }
    }
    heads
}

fn leading_word(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
    &text[..end]
}

/// The list in `src/lib.rs` names the modules in the order that is checked.
pub fn module_list(lib: &Source) -> Vec<String> {
    let listed: Vec<&str> = lib
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("//! ")?.split_once(". [`"))
        .filter(|(number, _)| number.parse::<usize>().is_ok())
        .flat_map(|(_, names)| names.split("`]").filter_map(|name| name.rsplit("[`").next()).map(str::trim))
        .filter(|name| row(name).is_some())
        .collect();
    let declared: BTreeSet<&str> = lib
        .text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    let expected: Vec<&str> =
        ROWS.iter().flat_map(|row| row.iter().copied()).filter(|m| declared.contains(m)).collect();
    if listed == expected {
        return Vec::new();
    }
    vec![format!(
        "{}: the list at the top names the modules as {listed:?}, but the order of those declared is {expected:?} \
         (ROWS of tests/architecture/rules.rs); make the two agree",
        lib.path
    )]
}

/// Some crates are used by one module or file only.
pub fn guarded_crates(files: &[Source]) -> Vec<String> {
    let guards = [
        (
            "entity",
            "src/store/",
            "only the store knows tables; add a function to the store that returns what is needed",
        ),
        (
            "actix_web_actors",
            "src/realtime/socket.rs",
            "an actor of this crate stops with its client, so only the socket is one",
        ),
    ];
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (name, allowed, reason) in guards {
            if file.path.starts_with(allowed) {
                continue;
            }
            for (line, code) in file.code_lines().filter(|(_, code)| names_crate(code, name)) {
                broken.push(format!("{}:{line}: `{}` outside {allowed}: {reason}", file.path, code.trim()));
            }
        }
    }
    broken
}

/// Returns true for `name::` and `use name;` if the name is that of the crate and not the end of another path.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].trim_end_matches("::");
        let absolute = !before.ends_with(|character: char| character.is_alphanumeric() || "_.`".contains(character));
        let after = &code[start + name.len()..];
        absolute
            && (after.starts_with("::") || (code.trim_start().starts_with("use ") && after.starts_with([';', ' '])))
    })
}

/// A file has one idea, and therefore a bounded length.
pub fn file_size(files: &[Source]) -> Vec<String> {
    let measured = |path: &str| ["rs", "js"].iter().any(|extension| has_extension(path, extension));
    files
        .iter()
        .filter(|file| measured(&file.path))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| {
            format!("{}: {lines} lines; at most {MAX_LINES} are allowed; split it by idea, not by size", file.path)
        })
        .collect()
}

/// The first lines of a file say what is in it.
pub fn first_lines(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .filter(|file| has_extension(&file.path, "rs") && !file.text.starts_with("//!"))
        .map(|file| format!("{}: begins without `//!`; say what belongs in this file", file.path))
        .collect()
}

/// `do_send` ignores the capacity of a mailbox, so only the function that says when this is right calls it.
pub fn do_send(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        if file.path == "src/mailboxes/send_always.rs" {
            continue;
        }
        for (line, _) in file.code_lines().filter(|(_, code)| code.contains("do_send(")) {
            broken.push(format!(
                "{}:{line}: `do_send` ignores the capacity of the mailbox; use `try_send` and handle a full one, or \
                 `mailboxes::send_always` if the message is one of those that it is for",
                file.path
            ));
        }
    }
    broken
}

/// Clippy has this rule too, but an attribute can switch that one off.
pub fn unwraps(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (line, _) in file.code_lines().filter(|(_, code)| code.contains(".unwrap()")) {
            broken.push(format!(
                "{}:{line}: `unwrap` outside tests: return the error, or `expect` with the invariant that excludes it",
                file.path
            ));
        }
    }
    broken
}

/// Every code of an error and of a close is used, and so is every constructor of an error.
pub fn dead_codes(files: &[Source], codes: &Source, errors: &Source) -> Vec<String> {
    let elsewhere = |defined_in: &str, name: &str| {
        files.iter().any(|file| file.path != defined_in && contains_name(&file.code, name))
    };
    let mut broken = Vec::new();
    for kind in ["Code", "Close"] {
        for variant in variants(&codes.code, kind) {
            if !elsewhere(&codes.path, &format!("{kind}::{variant}")) {
                broken.push(format!("{}: nothing uses `{kind}::{variant}`: use it or delete it", codes.path));
            }
        }
    }
    for constructor in constructors(&errors.code) {
        let (called, own) = (format!("Error::{constructor}"), format!("Self::{constructor}("));
        if !elsewhere(&errors.path, &called) && !errors.code.contains(&own) {
            broken
                .push(format!("{}: nothing calls `{called}`: use it or delete it, and its code with it", errors.path));
        }
    }
    broken
}

fn contains_name(code: &str, name: &str) -> bool {
    code.match_indices(name)
        .any(|(start, _)| !code[start + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Returns the variants of an enum, in their order.
pub fn variants(code: &str, name: &str) -> Vec<String> {
    let Some((_, body)) = code.split_once(&format!("enum {name} {{")) else { return Vec::new() };
    let body = body.split('}').next().unwrap_or_default();
    body.split(',').map(|variant| leading_word(variant.trim()).to_owned()).filter(|name| !name.is_empty()).collect()
}

fn constructors(code: &str) -> Vec<&str> {
    code.split("pub fn ")
        .skip(1)
        .filter(|rest| {
            rest.split('{').next().is_some_and(|head| head.trim_end().ends_with("-> Self") && !head.contains("self"))
        })
        .map(leading_word)
        .collect()
}

/// `.env.example` documents the settings: it names every variable that is read, and no other.
pub fn settings(config: &[Source], example: &Source) -> Vec<String> {
    let read: BTreeSet<&str> = config.iter().flat_map(|file| variables(file.untested())).collect();
    let shown: BTreeSet<&str> = example
        .text
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
        .map(|(name, _)| name)
        .filter(|name| is_variable(name))
        .collect();
    let undocumented = read.difference(&shown).map(|name| {
        format!(
            "{name} is read by src/config but missing in {}: add it there with its default and reason",
            example.path
        )
    });
    // A secret may also be given as the name of a file that holds it.
    let file_of_secret = |name: &str| name.strip_suffix("_FILE").is_some_and(|secret| read.contains(secret));
    let unread = shown
        .difference(&read)
        .filter(|name| !file_of_secret(name))
        .map(|name| format!("{name} is in {} but src/config does not read it: remove it, or read it", example.path));
    undocumented.chain(unread).collect()
}

fn is_variable(name: &str) -> bool {
    let known = name == "DATABASE_URL" || name == "REDIS_URL" || name.starts_with("GREENROOM_");
    known && !name.ends_with('_') && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Returns the variables that a text names in quotes.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|part| is_variable(part))
}

/// The client shows texts of users only as text, never as HTML. The SDK uses no file outside its folder.
pub fn client_modules(files: &[Source]) -> Vec<String> {
    let forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| has_extension(&file.path, "js")) {
        for (index, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().trim_start();
            let comment = code.starts_with('*') || code.starts_with("/*");
            if let Some(word) = forbidden.iter().find(|word| !comment && code.contains(**word)) {
                broken.push(format!(
                    "{}:{}: `{word}` can run code that a user wrote; use `textContent`",
                    file.path,
                    index + 1
                ));
            }
            let leaves = line.contains("from '../") || line.contains("from \"../") || line.contains("import('../");
            if file.path.starts_with("static/sdk/") && leaves {
                broken.push(format!(
                    "{}:{}: the SDK must be importable alone: it uses no file outside its folder",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    broken
}

/// Links from one document to another have a target.
pub fn links(documents: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for document in documents {
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in link_targets(&document.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { document.path.clone() } else { resolved(folder, path) };
            if !exists(&path) {
                broken.push(format!("{}: the link to `{target}` has no target", document.path));
                continue;
            }
            let linked = documents.iter().find(|other| other.path == path);
            if !anchor.is_empty() && linked.is_some_and(|other| !has_heading(&other.text, anchor)) {
                broken.push(format!("{}: `{target}`: there is no such heading in {path}", document.path));
            }
        }
    }
    broken
}

/// Returns the targets of all links `[text](target)` within the repository.
fn link_targets(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

fn resolved(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}
