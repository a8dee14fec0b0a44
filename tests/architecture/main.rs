//! The rules of the project, checked by reading the sources: which module may use which, how long a file may be, which words
//! are not used. The rules are in `architecture/`. Each is tried on a forged source first, because a rule that cannot fail is
//! worth nothing, and then on the real ones.

mod circles;
mod limits;
mod names;
mod rules;
mod source;
mod words;

use source::{Source, has_extension, read};
use std::path::Path;

/// Fails with every place that breaks the rule.
fn holds(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Fails unless the rule finds exactly one fault in a forgery, and says this about it.
fn finds(broken: &[String], said: &str) {
    assert_eq!(broken.len(), 1, "one fault was forged, the rule found: {broken:#?}");
    assert!(broken[0].contains(said), "{:?} does not mention {said:?}", broken[0]);
}

fn forged(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

fn one(path: &str) -> Option<Source> {
    read(&[path]).pop()
}

fn ours() -> Vec<Source> {
    read(&["src", "entity", "migration", "tests", "examples", "static"])
}

#[test]
fn a_module_uses_only_those_before_it() {
    finds(
        &rules::imports(&forged("src/domain/ids.rs", "use crate::store::log;")),
        "src/domain/ids.rs:1: `domain` uses `store`",
    );
    finds(
        &rules::imports(&forged("src/app.rs", "\nuse crate::{config, http::{self, routes}};")),
        "src/app.rs:2: `app` uses `http`",
    );
    finds(&rules::imports(&forged("src/store/log.rs", "fn f() { crate::cluster::bus() }")), "`store` uses `cluster`");
    finds(&rules::imports(&forged("src/realtime/room.rs", "use super::super::http;")), "write `crate::…`");
    finds(&rules::imports(&forged("src/lounge/mod.rs", "")), "no place in the order");
    let lawful = "//! [`crate::http`]\nuse crate::{config::Settings, store::{log, db}}; // crate::http\nconst S: &str = \"crate::http\";\n\
                  use crate::app::App;\n#[cfg(test)]\nmod tests { use crate::http::x; }";
    holds(&rules::imports(&forged("src/usecases/messages.rs", lawful)));
    holds(&rules::imports(&read(&["src"])));
}

#[test]
fn no_two_files_use_each_other() {
    let two = |first: &str, second: &str| {
        vec![Source::new("src/usecases/members.rs", first), Source::new("src/usecases/groups.rs", second)]
    };
    let circle = two("use super::groups::{self, create};", "use crate::{app::App, usecases::{members, pins}};");
    assert_eq!(circles::circles(&circle).len(), 2, "both files are named");
    let mut through_a_third = two("use super::groups;", "fn f() { super::pins::add() }");
    through_a_third.push(Source::new("src/usecases/pins.rs", "use crate::usecases::members::remove as r;"));
    assert_eq!(circles::circles(&through_a_third).len(), 3);
    holds(&circles::circles(&two("use super::groups;", "use crate::work::members; // super::members")));
    let folder = vec![
        Source::new("src/usecases/mod.rs", "use self::pins::add;"),
        Source::new("src/usecases/pins.rs", "use super::Caller;"),
    ];
    holds(&circles::circles(&folder));
    holds(&circles::circles(&read(&["src"])));
}

#[test]
fn a_use_case_reads_and_changes_through_one_seam() {
    finds(&circles::seams(&forged("src/usecases/pins.rs", "let conn = app.db().read(pool);")), "through `work::read`");
    finds(&circles::seams(&forged("src/http/pins.rs", "app.run_with_deadline(pins::add())")), "safe from anywhere");
    finds(&circles::seams(&forged("src/realtime/session/auth.rs", "app.db().run(work)")), "call a use case");
    holds(&circles::seams(&forged("src/work.rs", "app.run_with_deadline(app.db().read(pool))")));
    holds(&circles::seams(&read(&["src"])));
}

#[test]
fn the_map_of_modules_is_true() {
    let lib = |text: &str| Source::new("src/lib.rs", text);
    let modules = "pub mod domain;\npub mod config;\n";
    finds(
        &rules::map_of_modules(&lib(&format!("//! 1. [`domain`]: words\n//! 2. [`config`]: settings\n{modules}"))),
        "make the two agree",
    );
    finds(&rules::map_of_modules(&lib(&format!("//! 1. [`config`]: settings\n{modules}"))), "make the two agree");
    holds(&rules::map_of_modules(&lib(&format!("//! 1. [`config`], [`domain`]: both\n{modules}"))));
    holds(&rules::map_of_modules(&one("src/lib.rs").expect("a library")));
}

#[test]
fn some_crates_are_known_to_one_place() {
    for line in ["use entity::messages;", "use ::entity::messages;", "let x = entity::users::Entity;"] {
        finds(&rules::guarded_crates(&forged("src/usecases/messages.rs", line)), "only the store knows tables");
        holds(&rules::guarded_crates(&forged("src/store/messages.rs", line)));
    }
    finds(&rules::guarded_crates(&forged("src/realtime/session.rs", "use actix_web_actors::ws;")), "only the socket");
    holds(&rules::guarded_crates(&forged("src/realtime/socket.rs", "use actix_web_actors::ws;")));
    holds(&rules::guarded_crates(&forged("src/http/mod.rs", "let entity = self::identity::x; // entity::users")));
    holds(&rules::guarded_crates(&read(&["src"])));
}

#[test]
fn a_file_is_one_room() {
    finds(&rules::file_size(&forged("src/app.rs", &"\n".repeat(401))), "401 lines");
    finds(&rules::file_size(&forged("static/sdk/x.js", &"\n".repeat(500))), "500 lines");
    holds(&rules::file_size(&forged("src/app.rs", &"\n".repeat(400))));
    holds(&rules::file_size(&ours()));
}

#[test]
fn a_type_name_occurs_once() {
    let twice = |other: &str| [forged("src/a.rs", "pub struct Row<'a>(u8);"), forged("src/b.rs", other)].concat();
    finds(&names::type_names(&twice("pub(super) enum Row {}")), "`Row` is the name of 2 types: src/a.rs:1, src/b.rs:1");
    holds(&names::type_names(&twice("struct Rows; // struct Row\nimpl X { type Row = u8; }\n    type Row = u8;")));
    holds(&names::type_names(&read(&["src"])));
}

#[test]
fn no_word_is_used_that_readers_stumble_over() {
    finds(&names::banned_words(&forged("src/a.rs", "\nlet was_told = 1;")), "src/a.rs:2");
    finds(&names::banned_words(&forged("static/a.js", "// Whoever comes")), "write the user who");
    finds(&names::banned_words(&forged("src/a.rs", "struct FreePlace;")), "`place`");
    holds(&names::banned_words(&forged("src/a.rs", "replaces(outdoors, misplaced)")));
    holds(&names::banned_words(&read(&["src", "static"])));
}

#[test]
fn public_types_and_functions_are_explained() {
    finds(&names::explained(&forged("src/a.rs", "/// The id.\npub fn id() {}")), "src/a.rs:2: say in a sentence");
    finds(&names::explained(&forged("src/a.rs", "}\n\npub enum Kind {}")), "`Kind`");
    holds(&names::explained(&forged("src/a.rs", "/// Returns the newest row.\n#[must_use]\npub async fn row() {}")));
    holds(&names::explained(&forged("src/a.rs", "pub const X: u8 = 1;\npub(super) fn f() {}\nfn g() {}")));
    holds(&names::explained(&read(&["src"])));
}

#[test]
fn a_module_says_first_what_lives_in_it() {
    finds(&rules::first_lines(&forged("src/app.rs", "use std::fmt;")), "begins without");
    holds(&rules::first_lines(&forged("src/app.rs", "//! What a use case may touch.")));
    holds(&rules::first_lines(&ours()));
}

#[test]
fn only_attaching_and_detaching_ignore_a_full_mailbox() {
    finds(&rules::do_send(&forged("src/realtime/room.rs", "\nsession.do_send(frame);")), "room.rs:2: `do_send`");
    holds(&rules::do_send(&forged(
        "src/realtime/room.rs",
        "hub.do_send(x); // attach\n// detach: it must arrive\nhub.do_send(y);",
    )));
    holds(&rules::do_send(&forged("src/realtime/room.rs", "// never do_send( here\n")));
    holds(&rules::do_send(&read(&["src"])));
}

#[test]
fn nothing_unwraps_outside_tests() {
    finds(&rules::unwraps(&forged("src/app.rs", "let x = y.unwrap();")), "src/app.rs:1");
    holds(&rules::unwraps(&forged(
        "src/app.rs",
        "y.unwrap_or(1); \".unwrap()\"; '\"'; y // .unwrap()\n#[cfg(test)]\nmod tests { fn f() { y.unwrap() } }",
    )));
    holds(&rules::unwraps(&read(&["src"])));
}

#[test]
fn every_code_and_every_error_is_used() {
    let codes =
        Source::new("src/domain/codes.rs", "pub enum Code {\n    /// One.\n    Gone,\n    NotFound,\n}\nimpl Code {}");
    let errors = Source::new(
        "src/error.rs",
        "pub fn gone() -> Self { Self::new(Code::Gone) }\npub fn not_found(what: &str) -> Self { Self::new(Code::NotFound) }\n\
         pub fn code(&self) -> Code { self.0 }",
    );
    let all = |errors: &Source, user: &str| {
        vec![Source::new(&errors.path, &errors.text), Source::new("src/http/mod.rs", user)]
    };
    finds(
        &rules::dead_codes(&all(&errors, "Error::gone(); Error::not_found_here()"), &codes, &errors),
        "`Error::not_found`",
    );
    let fewer = Source::new("src/error.rs", "pub fn gone() -> Self { Self::new(Code::Gone) }");
    finds(&rules::dead_codes(&all(&fewer, "Error::gone()"), &codes, &fewer), "`Code::NotFound`");
    holds(&rules::dead_codes(&all(&errors, "Error::gone(); Error::not_found(1)"), &codes, &errors));

    if let (Some(codes), Some(errors)) = (one("src/domain/codes.rs"), one("src/error.rs")) {
        holds(&rules::dead_codes(&read(&["src"]), &codes, &errors));
    }
}

#[test]
fn the_manual_has_every_error_with_its_status() {
    let codes = Source::new(
        "src/domain/codes.rs",
        "enum Code {\n    Gone,\n    Late,\n}\nfn as_str() { match self { Self::Gone => \"gone\", Self::Late => \"late\" } }\n\
         fn status() { match self { Self::Gone\n | Self::Late => 404, } }\nfn title() {}",
    );
    let manual = |text: &str| Source::new("docs/websocket.md", text);
    finds(&words::table_of_errors(&codes, &manual("| `gone` | 404 | x |")), "`late` has no row");
    finds(&words::table_of_errors(&codes, &manual("| `gone` | 404 | x |\n| `late` | 409 | x |")), "no row");
    let whole = "| `gone` | 404 | x |\n| `late` | 404 | x |\n| 1009 | too large | x |";
    finds(&words::table_of_errors(&codes, &manual(&format!("{whole}\n| `lost` | 404 | x |"))), "no error `lost`");
    holds(&words::table_of_errors(&codes, &manual(whole)));
    if let (Some(codes), Some(manual)) = (one("src/domain/codes.rs"), one("docs/websocket.md")) {
        holds(&words::table_of_errors(&codes, &manual));
    }
}

#[test]
fn the_detail_of_an_error_is_a_sentence_that_says_what_to_do() {
    let details = |code: &str| words::details(&forged("src/store/write_queue.rs", code));
    finds(&details("fn f() { Err(Error::forbidden(\"no right\")) }"), "\"no right\" is no sentence");
    finds(&details("fn f() { Err(Error::conflict(format!(\n\"Not {x} \\\n   allowed\"))) }"), "\"Not {x} allowed\"");
    finds(&details("fn f() { Self::new(Code::Gone, format!(\"gone\")) }"), "\"gone\" is no sentence");
    finds(&details("const GONE: &str = \"gone.\"; fn f() { Error::forbidden(GONE) }"), "\"gone.\" is no sentence");
    finds(&details("fn f() { Err(Error::busy(\"Too much.\")) }"), "\"Too much.\" says what is wrong");
    let tested = "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { Error::busy(\"x\") } }";
    for lawful in [
        tested,
        "Error::busy(\"Too much; try again.\")",
        "Error::unauthorized(\"The token is missing. Sign in.\")",
        "Error::forbidden(\"`x` is forbidden.\"); Error::invalid(\"x\", \"is needed\"); Error::conflict(detail)",
    ] {
        holds(&details(lawful));
    }
    holds(&words::details(&read(&["src"])));
}

#[test]
fn the_example_settings_are_those_that_are_read() {
    let config = forged(
        "src/config.rs",
        "env(\"GREENROOM_PORT\"); env(\"DATABASE_URL\"); prefix(\"GREENROOM_\")\n#[cfg(test)]\nmod tests { \"GREENROOM_PROT\" }",
    );
    let example = |text: &str| Source::new(".env.example", text);
    finds(&rules::settings(&config, &example("# the port\nGREENROOM_PORT=1")), "DATABASE_URL is read");
    finds(
        &rules::settings(&config, &example("GREENROOM_PORT=1\n#DATABASE_URL=\n# GREENROOM_HOST=x")),
        "GREENROOM_HOST stands in",
    );
    holds(&rules::settings(&config, &example("GREENROOM_PORT=1\n# DATABASE_URL=sqlite\n#DATABASE_URL_FILE=")));

    let config = read(&["src/config.rs", "src/config"]);
    if let (false, Some(example)) = (config.is_empty(), one(".env.example")) {
        holds(&rules::settings(&config, &example));
    }
}

#[test]
fn the_client_shows_words_as_words() {
    finds(&rules::client_modules(&forged("static/app/room.js", "node.innerHTML = content;")), "`innerHTML`");
    finds(&rules::client_modules(&forged("static/sdk/x.js", "import { a } from '../app/a.js';")), "importable alone");
    holds(&rules::client_modules(&forged("static/sdk/x.js", "// never innerHTML\nimport { a } from './a.js';")));
    holds(&rules::client_modules(&read(&["static"])));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = forged(
        "docs/a.md",
        "# One two\n[x](#one-two) [y](b.md) [z](../README.md#top) [w](https://x.y/z)\n```\n[no](link)\n```\n",
    );
    finds(&rules::links(&documents, |path| path != "docs/b.md"), "`b.md`");
    finds(&rules::links(&forged("docs/a.md", "# One\n[x](#two)"), |_| true), "no such heading");
    holds(&rules::links(&documents, |path| ["docs/a.md", "docs/b.md", "README.md"].contains(&path)));

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents: Vec<Source> =
        read(&["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs", "deploy", "static"])
            .into_iter()
            .filter(|file| has_extension(&file.path, "md"))
            .collect();
    holds(&rules::links(&documents, |path| root.join(path).exists()));
}

#[test]
fn the_manual_of_limits_has_the_numbers_of_the_code() {
    let manual = one("docs/limits.md").expect("a manual");
    let forged = manual.text.replace("the head of a request | 10 s", "the head of a request | 11 s");
    finds(&limits::stated(&forged), "the row `the head of a request` does not state 10 s");
    finds(
        &limits::stated(&manual.text.replace("| the time to authenticate", "| x")),
        "has no row `the time to authenticate`",
    );
    holds(&limits::stated(&manual.text));
}
