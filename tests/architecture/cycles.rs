//! The rules about which file uses which: no cycle of files, and some functions are not for some modules.

use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// No two files use each other, directly or through other files. A `mod.rs` and the files of its folder are one unit.
pub fn cycles(files: &[Source]) -> Vec<String> {
    let modules: BTreeMap<String, &str> =
        files.iter().map(|file| (module_path(&file.path).join("::"), file.path.as_str())).collect();
    let used: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|file| {
            let paths = paths(file).into_iter().filter_map(|path| find_module(&modules, &path));
            (file.path.as_str(), paths.filter(|other| !is_same_unit(&file.path, other)).collect())
        })
        .collect();
    let reachable_files: BTreeMap<&str, BTreeSet<&str>> =
        used.keys().map(|file| (*file, reachable(&used, file))).collect();
    let is_in_cycle = |file: &&str| reachable_files[file].contains(*file);
    used.keys()
        .copied()
        .filter(is_in_cycle)
        .map(|file| {
            let others =
                used[file].iter().filter(|other| reachable_files.get(**other).is_some_and(|r| r.contains(file)));
            let others: Vec<&str> = others.copied().collect();
            format!("{file} uses {}, which uses it too; move what both need to an earlier module", others.join(" and "))
        })
        .collect()
}

/// Returns whether one file is the `mod.rs` of the folder of the other: these may use each other.
fn is_same_unit(one: &str, other: &str) -> bool {
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    one == other || (folder(one) == folder(other) && (one.ends_with("/mod.rs") || other.ends_with("/mod.rs")))
}

fn reachable<'a>(used: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = used.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = waiting.pop() {
        if found.insert(file) {
            waiting.extend(used.get(file).into_iter().flatten());
        }
    }
    found
}

/// Returns the names of the modules on the way to a file: `src/store/log.rs` is `store`, `log`, and `src/lib.rs` has
/// none.
fn module_path(path: &str) -> Vec<&str> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let mut names: Vec<&str> = inside.strip_suffix(".rs").unwrap_or(inside).split('/').collect();
    if matches!(names.last(), Some(&"mod" | &"lib" | &"main")) {
        names.pop();
    }
    names
}

fn find_module<'a>(modules: &BTreeMap<String, &'a str>, path: &[String]) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|length| modules.get(&path[..length].join("::")).copied())
}

/// Returns the paths below `crate` that a file names, in `use` and elsewhere.
fn paths(file: &Source) -> Vec<Vec<String>> {
    let own = module_path(&file.path);
    let absolute = |names: &[String]| -> Option<Vec<String>> {
        let levels_up = names.iter().take_while(|name| *name == "super").count();
        let start: &[&str] = match names.first()?.as_str() {
            "crate" => &[],
            "self" => &own,
            "super" => &own[..own.len().checked_sub(levels_up)?],
            _ => return None,
        };
        let rest = names.iter().skip(levels_up.max(1)).cloned();
        Some(start.iter().map(|name| (*name).to_owned()).chain(rest).collect())
    };
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (start, _) in file.code.match_indices(root) {
            let is_whole = !file.code[..start].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if is_whole {
                found.extend(tree(&file.code[start..]).iter().filter_map(|names| absolute(names)));
            }
        }
    }
    found
}

/// Returns every path of a tree like `a::{b, c::{d, e}}` at the beginning of a text.
fn tree(text: &str) -> Vec<Vec<String>> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix("::") else {
        return vec![vec![name.to_owned()]];
    };
    let branches = match rest.strip_prefix('{') {
        Some(group) => elements(group).into_iter().flat_map(|element| tree(element.trim_start())).collect(),
        None => tree(rest),
    };
    let full = |branch: Vec<String>| std::iter::once(name.to_owned()).chain(branch).collect();
    branches.into_iter().map(full).collect()
}

/// Returns the elements of a `{…}`. `group` begins after the opening brace.
fn elements(group: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            '}' => {
                found.push(&group[start..at]);
                break;
            }
            _ => {}
        }
    }
    found
}

/// Where a connection of the pools may be taken. All other files read through `work::read` and write through
/// `work::transact`. The start reads before the server serves anyone. The paths begin in `src`.
const WITH_CONNECTIONS: &[&str] = &["store/", "backends/", "work/read.rs", "work/transact.rs", "startup/wiring.rs"];

/// The database is read and changed only through `work`, and the callers of a use case do not decide where it runs.
pub fn closed_functions(files: &[Source]) -> Vec<String> {
    let rules = [
        ("src/usecases/", ".db()", "read through `work::read`, and change through `work::transact`"),
        ("src/usecases/", "views::get_view(", "read through `work::views`"),
        ("src/usecases/", "unread::get_unread_count(conn", "read through `work::views`"),
        ("src/usecases/", "members::insert(", "call `work::conversations::insert_participants`, which counts them too"),
        ("src/usecases/", "members::leave(", "call `work::conversations::remove_participant`, which counts the others"),
        ("src/http/", "run_with_deadline(", "a use case can be called from any task; call it directly"),
        ("src/realtime/", "run_with_deadline(", "a use case can be called from any task; call it directly"),
        ("src/realtime/session/", ".db()", "call a use case"),
    ];
    let seam = "use `work::read` or `work::transact`";
    let connections =
        [".read(ReadPool", ".db().write()", "db.write()", "db().begin()"].map(|call| ("src/", call, seam));
    let mut broken = Vec::new();
    for (folder, call, instead) in rules.into_iter().chain(connections) {
        let is_seam = |file: &&Source| {
            instead == seam
                && file
                    .path
                    .strip_prefix("src/")
                    .is_some_and(|path| WITH_CONNECTIONS.iter().any(|at| path.starts_with(at)))
        };
        for file in files.iter().filter(|file| file.path.starts_with(folder) && !is_seam(file)) {
            for (line, _) in file.code_lines().filter(|(_, code)| code.contains(call)) {
                broken.push(format!("{}:{line}: `{call}`: {instead}", file.path));
            }
        }
    }
    broken
}
