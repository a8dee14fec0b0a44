//! The rules of the house. Each takes files and returns one sentence for every place that breaks it, which says what to
//! do instead; an empty list is a kept rule. None of them reads a file, so that each can be tried on forged ones.

use super::source::{Source, has_extension};
use std::collections::BTreeSet;

/// The modules of the crate in the order in which a message passes them. A module uses those of earlier rows only;
/// modules of one row do not know each other.
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

const MOST_LINES: usize = 400;

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The module of a file in src: `src/store/log.rs` and `src/store.rs` are both `store`.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// Each module uses only those before it.
pub fn imports(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let Some(module) = module_of(&file.path).filter(|&module| module != "lib") else { continue };
        let Some(own) = row(module) else {
            broken.push(format!(
                "{}: the module `{module}` has no place in the order of modules; give it one in src/lib.rs, \
                 docs/architecture.md and ROWS of tests/architecture/rules.rs",
                file.path
            ));
            continue;
        };
        for (line, used) in used_modules(&file.code) {
            if used != module && row(&used).is_some_and(|other| other >= own) {
                broken.push(format!(
                    "{}:{line}: `{module}` uses `{used}`, which does not come before it (the order is in src/lib.rs); \
                     move what is shared to an earlier module, or hand it in as an argument or a Recipient",
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

/// The modules of the crate that some code names, each with its line: `crate::a::b`, `crate::{a, b::{c, d}}`, and in
/// main.rs `greenroom::a`.
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

/// The first word of every element of a `{…}` whose opening brace was just passed.
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

/// The map in src/lib.rs names the modules in the order that is checked.
pub fn map_of_modules(lib: &Source) -> Vec<String> {
    let mapped: Vec<&str> = lib
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
    if mapped == expected {
        return Vec::new();
    }
    vec![format!(
        "{}: the map at the top names the modules as {mapped:?}, but those declared stand in the order {expected:?} \
         (ROWS of tests/architecture/rules.rs); make the two agree",
        lib.path
    )]
}

/// Some crates are known to one place only.
pub fn guarded_crates(files: &[Source]) -> Vec<String> {
    let guards = [
        ("entity", "src/store/", "only the store knows tables; ask it for what you need through a function of its own"),
        (
            "actix_web_actors",
            "src/realtime/socket.rs",
            "a WebSocket's actor freezes with its client, so only the socket is one",
        ),
    ];
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        for (name, place, reason) in guards {
            if file.path.starts_with(place) {
                continue;
            }
            for (line, code) in file.code_lines().filter(|(_, code)| names_crate(code, name)) {
                broken.push(format!("{}:{line}: `{}` outside {place}: {reason}", file.path, code.trim()));
            }
        }
    }
    broken
}

/// True for `name::` and `use name;` where the name is the crate's, not the tail of another path.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].trim_end_matches("::");
        let absolute = !before.ends_with(|character: char| character.is_alphanumeric() || "_.`".contains(character));
        let after = &code[start + name.len()..];
        absolute
            && (after.starts_with("::") || (code.trim_start().starts_with("use ") && after.starts_with([';', ' '])))
    })
}

/// A file is one room.
pub fn file_size(files: &[Source]) -> Vec<String> {
    let measured = |path: &str| ["rs", "js"].iter().any(|extension| has_extension(path, extension));
    files
        .iter()
        .filter(|file| measured(&file.path))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| {
            format!("{}: {lines} lines, and {MOST_LINES} are the most; split it by idea, not by size", file.path)
        })
        .collect()
}

/// The first lines of a module say what lives there.
pub fn first_lines(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .filter(|file| has_extension(&file.path, "rs") && !file.text.starts_with("//!"))
        .map(|file| format!("{}: begins without `//!`; say what lives here, and what may not", file.path))
        .collect()
}

/// `do_send` ignores a mailbox's capacity, so it is for what must not be lost and comes once: attaching, detaching.
pub fn do_send(files: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let text: Vec<&str> = file.text.lines().collect();
        for (line, _) in file.code_lines().filter(|(_, code)| code.contains("do_send(")) {
            let here = text[line - 1];
            let above = line.checked_sub(2).map_or("", |index| text[index].trim());
            let said = |comment: &str| here.contains(comment) || above.starts_with(comment);
            if !said("// attach") && !said("// detach") {
                broken.push(format!(
                    "{}:{line}: `do_send` ignores the mailbox's capacity; use `try_send` and answer to a full one, or \
                     say `// attach` or `// detach` beside it if it is one of these",
                    file.path
                ));
            }
        }
    }
    broken
}

/// Clippy refuses it too; this one cannot be allowed away.
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

/// Every code of an error and of a close is used, and every way to make an error.
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

/// The variants of an enum, in their order.
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

/// `.env.example` is the manual of the settings: it names every variable that is read, and no other.
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
    let twin = |name: &str| name.strip_suffix("_FILE").is_some_and(|secret| read.contains(secret));
    let unread = shown.difference(&read).filter(|name| !twin(name)).map(|name| {
        format!("{name} stands in {} but src/config does not read it: remove it, or read it", example.path)
    });
    undocumented.chain(unread).collect()
}

fn is_variable(name: &str) -> bool {
    let known = name == "DATABASE_URL" || name == "REDIS_URL" || name.starts_with("GREENROOM_");
    known && !name.ends_with('_') && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The variables that a text names in quotes.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|part| is_variable(part))
}

/// The client shows other people's words: only ever as text. And its SDK can be taken alone.
pub fn client_modules(files: &[Source]) -> Vec<String> {
    let forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| has_extension(&file.path, "js")) {
        for (index, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default().trim_start();
            let comment = code.starts_with('*') || code.starts_with("/*");
            if let Some(word) = forbidden.iter().find(|word| !comment && code.contains(**word)) {
                broken.push(format!("{}:{}: `{word}` runs what others wrote; use `textContent`", file.path, index + 1));
            }
            let leaves = line.contains("from '../") || line.contains("from \"../") || line.contains("import('../");
            if file.path.starts_with("static/sdk/") && leaves {
                broken.push(format!(
                    "{}:{}: the SDK is importable alone: it knows nothing outside its folder",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    broken
}

/// Links from one document to another lead somewhere.
pub fn links(documents: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for document in documents {
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in link_targets(&document.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { document.path.clone() } else { resolved(folder, path) };
            if !exists(&path) {
                broken.push(format!("{}: the link to `{target}` leads nowhere", document.path));
                continue;
            }
            let headed = documents.iter().find(|other| other.path == path);
            if !anchor.is_empty() && headed.is_some_and(|other| !has_heading(&other.text, anchor)) {
                broken.push(format!("{}: `{target}`: there is no such heading in {path}", document.path));
            }
        }
    }
    broken
}

/// Where `[text](target)` points, as far as it stays in the repository.
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
