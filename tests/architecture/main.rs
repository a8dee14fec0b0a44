//! Checks the rules of the project by reading its sources: which module may use which, how long a file may be, which
//! words are not used. Each test first runs its rule on an invented source that breaks it, because a rule that cannot
//! fail checks nothing, and then on the real sources.

mod cycles;
mod documents;
mod limits;
mod names;
mod resources;
mod rules;
mod source;
mod words;

use source::{Source, has_extension, read};
use std::path::Path;

/// Panics with every message about a line that breaks the rule.
fn assert_holds(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Panics unless the rule has found exactly one fault in an invented source, with this text in its message.
fn assert_finds(broken: &[String], message: &str) {
    assert_eq!(broken.len(), 1, "the source has one fault, the rule found: {broken:#?}");
    assert!(broken[0].contains(message), "{:?} does not contain {message:?}", broken[0]);
}

fn invented(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

fn read_one(path: &str) -> Option<Source> {
    read(&[path]).pop()
}

fn all_sources() -> Vec<Source> {
    read(&["src", "entity", "migration", "tests", "examples", "static"])
}

#[test]
fn a_module_uses_only_those_before_it() {
    assert_finds(
        &rules::imports(&invented("src/domain/ids.rs", "use crate::store::log;")),
        "src/domain/ids.rs:1: `domain` uses `store`",
    );
    assert_finds(
        &rules::imports(&invented("src/app.rs", "\nuse crate::{config, http::{self, routes}};")),
        "src/app.rs:2: `app` uses `http`",
    );
    assert_finds(
        &rules::imports(&invented("src/store/log.rs", "fn f() { crate::cluster::bus() }")),
        "`store` uses `cluster`",
    );
    assert_finds(&rules::imports(&invented("src/realtime/room.rs", "use super::super::http;")), "write `crate::…`");
    assert_finds(&rules::imports(&invented("src/lounge/mod.rs", "")), "is not in the order");
    let allowed = "//! [`crate::http`]\nuse crate::{config::Settings, store::{log, db}}; // crate::http\nconst S: &str = \"crate::http\";\n\
                  use crate::app::App;\n#[cfg(test)]\nmod tests { use crate::http::x; }";
    assert_holds(&rules::imports(&invented("src/usecases/messages.rs", allowed)));
    assert_holds(&rules::imports(&read(&["src"])));
}

#[test]
fn no_two_files_use_each_other() {
    let pair_of_files = |first: &str, second: &str| {
        vec![Source::new("src/usecases/members.rs", first), Source::new("src/usecases/groups.rs", second)]
    };
    let cycle =
        pair_of_files("use super::groups::{self, create};", "use crate::{app::App, usecases::{members, pins}};");
    assert_eq!(cycles::cycles(&cycle).len(), 2, "both files are named");
    let mut through_a_third = pair_of_files("use super::groups;", "fn f() { super::pins::add() }");
    through_a_third.push(Source::new("src/usecases/pins.rs", "use crate::usecases::members::remove as r;"));
    assert_eq!(cycles::cycles(&through_a_third).len(), 3);
    assert_holds(&cycles::cycles(&pair_of_files("use super::groups;", "use crate::work::members; // super::members")));
    let folder = vec![
        Source::new("src/usecases/mod.rs", "use self::pins::add;"),
        Source::new("src/usecases/pins.rs", "use super::Caller;"),
    ];
    assert_holds(&cycles::cycles(&folder));
    assert_holds(&cycles::cycles(&read(&["src"])));
}

#[test]
fn the_database_is_read_and_changed_only_through_work() {
    assert_finds(
        &cycles::closed_functions(&invented("src/usecases/pins.rs", "let conn = app.db().read(pool);")),
        "through `work::read`",
    );
    assert_finds(
        &cycles::closed_functions(&invented("src/http/pins.rs", "app.run_with_deadline(pins::add())")),
        "from any task",
    );
    assert_finds(
        &cycles::closed_functions(&invented("src/realtime/session/auth.rs", "app.db().run(work)")),
        "call a use case",
    );
    assert_finds(
        &cycles::closed_functions(&invented("src/relay/lag.rs", "app.db().run(list(db.read(ReadPool::Log)))")),
        "use `work::read`",
    );
    let seam = "app.run_with_deadline(app.db().read(ReadPool::Log))";
    assert_holds(&cycles::closed_functions(&invented("src/work/read.rs", seam)));
    assert_holds(&cycles::closed_functions(&read(&["src"])));
}

#[test]
fn the_list_of_modules_is_complete_and_in_order() {
    let lib = |text: &str| Source::new("src/lib.rs", text);
    let modules = "pub mod domain;\npub mod config;\n";
    assert_finds(
        &rules::module_list(&lib(&format!("//! 1. [`domain`]: words\n//! 2. [`config`]: settings\n{modules}"))),
        "make the two agree",
    );
    assert_finds(&rules::module_list(&lib(&format!("//! 1. [`config`]: settings\n{modules}"))), "make the two agree");
    assert_holds(&rules::module_list(&lib(&format!("//! 1. [`config`], [`domain`]: both\n{modules}"))));
    assert_holds(&rules::module_list(&read_one("src/lib.rs").expect("a library")));
}

#[test]
fn some_crates_are_used_by_one_module_only() {
    for line in ["use entity::messages;", "use ::entity::messages;", "let x = entity::users::Entity;"] {
        assert_finds(
            &rules::guarded_crates(&invented("src/usecases/messages.rs", line)),
            "only the store knows tables",
        );
        assert_holds(&rules::guarded_crates(&invented("src/store/messages.rs", line)));
    }
    assert_finds(
        &rules::guarded_crates(&invented("src/realtime/session.rs", "use actix_web_actors::ws;")),
        "only the socket",
    );
    assert_holds(&rules::guarded_crates(&invented("src/realtime/socket.rs", "use actix_web_actors::ws;")));
    assert_holds(&rules::guarded_crates(&invented(
        "src/http/mod.rs",
        "let entity = self::identity::x; // entity::users",
    )));
    assert_holds(&rules::guarded_crates(&read(&["src"])));
}

#[test]
fn only_the_assembler_constructs_resources_with_several_parts() {
    for line in ["let x = Message {", "vec![messages::Message { id }]", "Ok(Some(User {", "    Message { id, ..old }"] {
        assert_finds(&resources::constructions(&invented("src/store/messages/mod.rs", line)), "let the assembler");
    }
    let messages = "src/work/assemble/messages.rs";
    assert_holds(&resources::constructions(&invented(messages, "Message { id }")));
    assert_finds(&resources::constructions(&invented(messages, "NewMessageRow {")), "new_messages.rs");
    for allowed in [
        "pub struct Message {",
        "fn a() -> Message {",
        "fn a(&self) -> &mut Message {",
        "impl fmt::Display for Message {",
        "SystemMessage {",
        "Event::User {",
    ] {
        assert_holds(&resources::constructions(&invented("src/store/messages/mod.rs", allowed)));
    }
    assert_holds(&resources::constructions(&read(&["src"])));
}

#[test]
fn the_store_returns_rows() {
    let store = |code: &str| resources::types_of_rows(&invented("src/store/messages/mod.rs", code));
    assert_finds(&store("use crate::protocol::messages::{FormerText, Message};"), "the store uses `Message`");
    assert_finds(&store("\nuse crate::protocol::users::{\n    User,\n};"), "mod.rs:2: the store uses `User`");
    assert_holds(&store("use crate::protocol::users::UserBrief;\nuse crate::protocol::events::Event;"));
    assert_holds(&resources::types_of_rows(&invented("src/work/read.rs", "use crate::protocol::messages::Message;")));
    assert_holds(&resources::types_of_rows(&read(&["src"])));
}

#[test]
fn the_commands_in_documents_name_tests_that_exist() {
    let files = invented("tests/server/sync/mod.rs", "#[test]\nfn a_client_reconnects() {}");
    let document = |text: &str| invented("docs/a.md", text);
    assert_finds(&documents::filters(&document("\n`cargo test --test server sync::missing`"), &files), "docs/a.md:2");
    assert_finds(&documents::filters(&document("cargo test --test kill a_client"), &files), "program `kill`");
    assert_holds(&documents::filters(&document("`cargo test --test server -- --ignored sync::a_client`"), &files));
    assert_holds(&documents::filters(&document("`cargo test --test server`"), &files));
    assert_holds(&documents::filters(&read(&["docs", "README.md", "CONTRIBUTING.md"]), &read(&["tests"])));
}

#[test]
fn a_file_has_at_most_400_lines() {
    assert_finds(&rules::file_size(&invented("src/app.rs", &"\n".repeat(401))), "401 lines");
    assert_finds(&rules::file_size(&invented("static/sdk/x.js", &"\n".repeat(500))), "500 lines");
    assert_holds(&rules::file_size(&invented("src/app.rs", &"\n".repeat(400))));
    assert_holds(&rules::file_size(&all_sources()));
}

#[test]
fn a_type_name_occurs_once() {
    let twice = |other: &str| [invented("src/a.rs", "pub struct Row<'a>(u8);"), invented("src/b.rs", other)].concat();
    assert_finds(
        &names::type_names(&twice("pub(super) enum Row {}")),
        "`Row` is the name of 2 types: src/a.rs:1, src/b.rs:1",
    );
    assert_holds(&names::type_names(&twice(
        "struct Rows; // struct Row\nimpl X { type Row = u8; }\n    type Row = u8;",
    )));
    assert_holds(&names::type_names(&read(&["src"])));
}

#[test]
fn no_banned_word_is_used() {
    assert_finds(&names::banned_words(&invented("src/a.rs", "\nlet was_told = 1;")), "src/a.rs:2");
    assert_finds(&names::banned_words(&invented("static/a.js", "// Whoever comes")), "write the user who");
    assert_finds(&names::banned_words(&invented("src/a.rs", "struct FreePlace;")), "`place`");
    assert_holds(&names::banned_words(&invented("src/a.rs", "replaces(outdoors, misplaced)")));
    let migration = |text: &str| invented("migration/src/m20261120_000004_messages.rs", text);
    assert_finds(&names::banned_words(&migration("CREATE INDEX uploads_place")), "`place`");
    assert_holds(&names::banned_words(&migration("CREATE INDEX message_links_place ON message_links")));
    assert_finds(&names::banned_words(&invented("tests/embedded/a.rs", "fn it_gave_up() {}")), "`gave`");
    assert_holds(&names::banned_words(&read(&["src", "static", "entity", "migration", "examples"])));
    assert_holds(&names::banned_words(&read(&["tests/server", "tests/embedded", "tests/support", "tests/kill.rs"])));
}

#[test]
fn public_types_and_functions_are_explained() {
    assert_finds(
        &names::explained(&invented("src/a.rs", "/// The id.\npub fn id() {}")),
        "src/a.rs:2: say in a sentence",
    );
    assert_finds(&names::explained(&invented("src/a.rs", "}\n\npub enum Kind {}")), "`Kind`");
    assert_holds(&names::explained(&invented(
        "src/a.rs",
        "/// Returns the newest row.\n#[must_use]\npub async fn row() {}",
    )));
    assert_holds(&names::explained(&invented("src/a.rs", "pub const X: u8 = 1;\npub(super) fn f() {}\nfn g() {}")));
    assert_holds(&names::explained(&read(&["src"])));
}

#[test]
fn the_first_line_of_a_file_says_what_is_in_it() {
    assert_finds(&rules::first_lines(&invented("src/app.rs", "use std::fmt;")), "begins without");
    assert_holds(&rules::first_lines(&invented("src/app.rs", "//! What a use case may touch.")));
    assert_holds(&rules::first_lines(&all_sources()));
}

#[test]
fn one_function_ignores_a_full_mailbox() {
    assert_finds(
        &rules::do_send(&invented("src/realtime/room.rs", "\nsession.do_send(frame);")),
        "room.rs:2: `do_send`",
    );
    assert_holds(&rules::do_send(&invented("src/mailboxes/send_always.rs", "receiver.do_send(message);")));
    assert_holds(&rules::do_send(&invented("src/realtime/room.rs", "// never do_send( here\n")));
    assert_holds(&rules::do_send(&read(&["src"])));
}

#[test]
fn no_unwrap_outside_tests() {
    assert_finds(&rules::unwraps(&invented("src/app.rs", "let x = y.unwrap();")), "src/app.rs:1");
    assert_holds(&rules::unwraps(&invented(
        "src/app.rs",
        "y.unwrap_or(1); \".unwrap()\"; '\"'; y // .unwrap()\n#[cfg(test)]\nmod tests { fn f() { y.unwrap() } }",
    )));
    assert_holds(&rules::unwraps(&read(&["src"])));
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
    assert_finds(
        &rules::dead_codes(&all(&errors, "Error::gone(); Error::not_found_here()"), &codes, &errors),
        "`Error::not_found`",
    );
    let fewer = Source::new("src/error.rs", "pub fn gone() -> Self { Self::new(Code::Gone) }");
    assert_finds(&rules::dead_codes(&all(&fewer, "Error::gone()"), &codes, &fewer), "`Code::NotFound`");
    assert_holds(&rules::dead_codes(&all(&errors, "Error::gone(); Error::not_found(1)"), &codes, &errors));

    if let (Some(codes), Some(errors)) = (read_one("src/domain/codes.rs"), read_one("src/error.rs")) {
        assert_holds(&rules::dead_codes(&read(&["src"]), &codes, &errors));
    }
}

#[test]
fn the_document_has_every_error_with_its_status() {
    let codes = Source::new(
        "src/domain/codes.rs",
        "enum Code {\n    Gone,\n    Late,\n}\nfn as_str() { match self { Self::Gone => \"gone\", Self::Late => \"late\" } }\n\
         fn status() { match self { Self::Gone\n | Self::Late => 404, } }\nfn title() {}",
    );
    let document = |text: &str| Source::new("docs/websocket.md", text);
    assert_finds(&words::table_of_errors(&codes, &document("| `gone` | 404 | x |")), "`late` has no row");
    assert_finds(&words::table_of_errors(&codes, &document("| `gone` | 404 | x |\n| `late` | 409 | x |")), "no row");
    let whole = "| `gone` | 404 | x |\n| `late` | 404 | x |\n| 1009 | too large | x |";
    assert_finds(
        &words::table_of_errors(&codes, &document(&format!("{whole}\n| `lost` | 404 | x |"))),
        "no error `lost`",
    );
    assert_holds(&words::table_of_errors(&codes, &document(whole)));
    if let (Some(codes), Some(document)) = (read_one("src/domain/codes.rs"), read_one("docs/websocket.md")) {
        assert_holds(&words::table_of_errors(&codes, &document));
    }
}

#[test]
fn the_detail_of_an_error_is_a_sentence_that_says_what_to_do() {
    let details = |code: &str| words::details(&invented("src/store/write_queue.rs", code));
    assert_finds(&details("fn f() { Err(Error::forbidden(\"no right\")) }"), "\"no right\" is no sentence");
    assert_finds(
        &details("fn f() { Err(Error::conflict(format!(\n\"Not {x} \\\n   allowed\"))) }"),
        "\"Not {x} allowed\"",
    );
    assert_finds(&details("fn f() { Self::new(Code::Gone, format!(\"gone\")) }"), "\"gone\" is no sentence");
    assert_finds(
        &details("const GONE: &str = \"gone.\"; fn f() { Error::forbidden(GONE) }"),
        "\"gone.\" is no sentence",
    );
    assert_finds(&details("fn f() { Err(Error::busy(\"Too much.\")) }"), "\"Too much.\" says what is wrong");
    let tested = "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { Error::busy(\"x\") } }";
    for allowed in [
        tested,
        "Error::busy(\"Too much; try again.\")",
        "Error::unauthorized(\"The token is missing. Sign in.\")",
        "Error::forbidden(\"`x` is forbidden.\"); Error::invalid(\"x\", \"is needed\"); Error::conflict(detail)",
    ] {
        assert_holds(&details(allowed));
    }
    assert_holds(&words::details(&read(&["src"])));
}

#[test]
fn the_example_settings_are_those_that_are_read() {
    let config = invented(
        "src/config.rs",
        "env(\"GREENROOM_PORT\"); env(\"DATABASE_URL\"); prefix(\"GREENROOM_\")\n#[cfg(test)]\nmod tests { \"GREENROOM_PROT\" }",
    );
    let example = |text: &str| Source::new(".env.example", text);
    assert_finds(&rules::settings(&config, &example("# the port\nGREENROOM_PORT=1")), "DATABASE_URL is read");
    assert_finds(
        &rules::settings(&config, &example("GREENROOM_PORT=1\n#DATABASE_URL=\n# GREENROOM_HOST=x")),
        "GREENROOM_HOST is in",
    );
    assert_holds(&rules::settings(&config, &example("GREENROOM_PORT=1\n# DATABASE_URL=sqlite\n#DATABASE_URL_FILE=")));

    let config = read(&["src/config.rs", "src/config"]);
    if let (false, Some(example)) = (config.is_empty(), read_one(".env.example")) {
        assert_holds(&rules::settings(&config, &example));
    }
}

#[test]
fn the_client_shows_text_of_users_as_text() {
    assert_finds(&rules::client_modules(&invented("static/app/room.js", "node.innerHTML = content;")), "`innerHTML`");
    assert_finds(
        &rules::client_modules(&invented("static/sdk/x.js", "import { a } from '../app/a.js';")),
        "importable alone",
    );
    assert_holds(&rules::client_modules(&invented(
        "static/sdk/x.js",
        "// never innerHTML\nimport { a } from './a.js';",
    )));
    assert_holds(&rules::client_modules(&read(&["static"])));
}

#[test]
fn links_between_documents_have_a_target() {
    let documents = invented(
        "docs/a.md",
        "# One two\n[x](#one-two) [y](b.md) [z](../README.md#top) [w](https://x.y/z)\n```\n[no](link)\n```\n",
    );
    assert_finds(&rules::links(&documents, |path| path != "docs/b.md"), "`b.md`");
    assert_finds(&rules::links(&invented("docs/a.md", "# One\n[x](#two)"), |_| true), "no such heading");
    assert_holds(&rules::links(&documents, |path| ["docs/a.md", "docs/b.md", "README.md"].contains(&path)));

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents: Vec<Source> =
        read(&["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs", "deploy", "static"])
            .into_iter()
            .filter(|file| has_extension(&file.path, "md"))
            .collect();
    assert_holds(&rules::links(&documents, |path| root.join(path).exists()));
}

#[test]
fn the_document_of_limits_has_the_numbers_of_the_code() {
    let document = read_one("docs/limits.md").expect("the document");
    let changed = document.text.replace("the head of a request | 10 s", "the head of a request | 11 s");
    assert_finds(&limits::list_missing(&changed), "the row `the head of a request` does not state 10 s");
    assert_finds(
        &limits::list_missing(&document.text.replace("| the time to authenticate", "| x")),
        "has no row `the time to authenticate`",
    );
    assert_holds(&limits::list_missing(&document.text));
}
