//! Settings: `.env.example` agrees with the code, the stronger source applies, and a wrong setting is reported in
//! one line.

use greenroom::config::variables::{VARIABLES, Variable};
use greenroom::config::{ConnectionShares, LogFormat, Secret, Settings};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn owned_pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    Settings::from_pairs(owned_pairs(pairs), None).unwrap()
}

/// Returns the line that reports wrong settings.
#[track_caller]
fn refusal(pairs: &[(&str, &str)]) -> String {
    let line = match Settings::from_pairs(owned_pairs(pairs), None) {
        Ok(settings) => panic!("these settings are accepted: {settings:?}"),
        Err(error) => error.to_string(),
    };
    assert!(!line.contains('\n'), "more than one line: {line}");
    line
}

/// Returns the name and the default of each setting in `.env.example`, where all of them are comments.
fn example() -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let shown = text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with([' ', '#']));
    shown.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns all settings as text, with the address of the database and without the random node id.
fn all_of(mut settings: Settings) -> String {
    settings.node_id = String::new();
    settings.unused.clear();
    format!("{settings:?} {}", settings.database.url.expose())
}

#[test]
fn the_example_names_every_setting_and_no_other_variable() {
    let shown: Vec<_> = example().into_iter().map(|(name, _)| name).collect();
    let mut known: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    known.extend(VARIABLES.iter().filter(|variable| variable.secret).map(|variable| format!("{}_FILE", variable.name)));
    assert_eq!(shown.iter().cloned().collect::<BTreeSet<_>>(), known);
    assert_eq!(shown.len(), known.len(), "a setting is shown twice");
}

#[test]
fn the_example_shows_the_defaults() {
    let shown = example();
    assert!(shown.iter().any(|(name, value)| name == "GREENROOM_PORT" && value == "8080"));
    assert_eq!(all_of(Settings::from_pairs(shown, None).unwrap()), all_of(settings(&[])));
}

#[test]
fn the_example_has_settings_without_effect_in_a_separate_section() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let (used, unused) = text.split_once("# ---- Not in this version").unwrap();
    for variable in VARIABLES {
        let line = format!("\n#{}=", variable.name);
        assert_eq!(used.contains(&line), variable.used, "{}", variable.name);
        assert_eq!(unused.contains(&line), !variable.used, "{}", variable.name);
    }
}

#[test]
fn the_example_is_a_valid_env_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(".env");
    let shown = example().into_iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<_> = shown.map(|(name, value)| format!("{name}={value}")).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    assert_eq!(all_of(Settings::from_pairs([], Some(&path)).unwrap()), all_of(settings(&[])));
}

#[test]
fn the_environment_wins_over_the_env_file_and_that_over_toml_and_that_over_defaults() {
    let folder = TempDir::new().unwrap();
    let (env_file, toml) = (folder.path().join("named.env"), folder.path().join("greenroom.toml"));
    fs::write(&env_file, "GREENROOM_PORT=2\nGREENROOM_LIMIT_API_PER_SECOND=2\nGREENROOM_LOG_FORMAT=\n").unwrap();
    fs::write(
        &toml,
        "port = 3\nlimit_api_per_second = 3\nlimit_sends_per_second = 3\nlog_format = 'json'\n\
         allowed_origins = ['https://a.example', 'https://b.example']\nauto_migrate = true\n",
    )
    .unwrap();
    let (env_file, toml) = (env_file.to_str().unwrap(), toml.to_str().unwrap());
    let read = settings(&[("GREENROOM_PORT", "1"), ("GREENROOM_ENV_FILE", env_file), ("GREENROOM_CONFIG", toml)]);
    assert_eq!(read.server.port, 1, "the environment is strongest");
    assert_eq!(read.limits.api_per_second, 2, "the env file is stronger than TOML");
    assert_eq!(read.limits.sends_per_second, 3, "TOML is stronger than the default");
    assert_eq!(read.limits.auth_per_minute, 10, "the default applies");
    assert_eq!(read.log_output.format, LogFormat::Json, "an empty value does not hide the value in TOML");
    assert_eq!(read.server.allowed_origins, ["https://a.example", "https://b.example"]);
    assert!(read.database.auto_migrate);
}

#[test]
fn the_env_file_may_name_the_toml_file() {
    let folder = TempDir::new().unwrap();
    let (env_file, toml) = (folder.path().join(".env"), folder.path().join("greenroom.toml"));
    fs::write(&toml, "port = 3\n").unwrap();
    fs::write(&env_file, format!("GREENROOM_CONFIG={}\n", toml.display())).unwrap();
    assert_eq!(Settings::from_pairs([], Some(&env_file)).unwrap().server.port, 3);
}

#[test]
fn every_secret_can_be_set_in_a_file() {
    let folder = TempDir::new().unwrap();
    let key = "0123456789012345678901234567890123456789";
    for Variable { name, .. } in VARIABLES.iter().filter(|variable| variable.secret) {
        let value = match *name {
            "DATABASE_URL" => "postgres://a:b@localhost/c",
            "REDIS_URL" => "redis://localhost",
            _ => key,
        };
        let path = folder.path().join(name);
        fs::write(&path, format!("{value}\n")).unwrap();
        let file_variable = format!("{name}_FILE");
        let pairs = [(file_variable.as_str(), path.to_str().unwrap()), ("GREENROOM_ADMIN_USERNAME", "ada")];
        let pairs = if *name == "GREENROOM_ADMIN_PASSWORD" { &pairs[..] } else { &pairs[..1] };
        let read = settings(pairs);
        let secret = match *name {
            "DATABASE_URL" => Some(read.database.url),
            "REDIS_URL" => read.redis.url,
            "GREENROOM_JWT_SECRET" => read.auth.jwt_secret,
            "GREENROOM_JWT_SECRET_SECONDARY" => read.auth.jwt_secret_secondary,
            "GREENROOM_AUTH_SHARED_SECRET" => read.auth.shared_secret,
            "GREENROOM_AUTH_SHARED_SECRET_SECONDARY" => read.auth.shared_secret_secondary,
            "GREENROOM_ADMIN_PASSWORD" => read.admin.map(|admin| admin.password),
            _ => panic!("{name} is not in this test"),
        };
        assert_eq!(secret.as_ref().map(Secret::expose), Some(value), "{name}");

        let both = refusal(&[(file_variable.as_str(), path.to_str().unwrap()), (name, value)]);
        assert_eq!(both, format!("{name} and {file_variable} are both set. Set only one of them."));
    }
}

#[test]
fn a_secret_in_the_environment_wins_over_a_secret_file_in_the_env_file() {
    let folder = TempDir::new().unwrap();
    let (env_file, secret) = (folder.path().join(".env"), folder.path().join("secret"));
    fs::write(&secret, "f".repeat(32)).unwrap();
    fs::write(&env_file, format!("GREENROOM_JWT_SECRET_FILE={}\n", secret.display())).unwrap();
    let read =
        |pairs: &[(&str, &str)]| Settings::from_pairs(owned_pairs(pairs), Some(&env_file)).unwrap().auth.jwt_secret;
    assert_eq!(read(&[]).unwrap().expose(), "f".repeat(32));
    let stronger = "e".repeat(32);
    assert_eq!(read(&[("GREENROOM_JWT_SECRET", &stronger)]).unwrap().expose(), stronger);
}

#[test]
fn an_unknown_setting_is_named_with_the_nearest_one() {
    assert_eq!(
        refusal(&[("GREENROOM_PROT", "80")]),
        "GREENROOM_PROT in the environment is not a setting. Did you mean GREENROOM_PORT?"
    );
    let unprefixed = refusal(&[("GREENROOM_REDIS_URL", "redis://localhost")]);
    assert!(unprefixed.ends_with("Did you mean REDIS_URL?"), "{unprefixed}");

    let folder = TempDir::new().unwrap();
    let (env_file, toml) = (folder.path().join("my.env"), folder.path().join("my.toml"));
    fs::write(&env_file, "OTHER=1\nGREENROOM_WRITER=1\n").unwrap();
    fs::write(&toml, "[server]\nport = 1\n").unwrap();
    let in_env_file = refusal(&[("GREENROOM_ENV_FILE", env_file.to_str().unwrap())]);
    assert!(in_env_file.contains("my.env is not a setting. Did you mean GREENROOM_WRITERS?"), "{in_env_file}");
    let in_toml = refusal(&[("GREENROOM_CONFIG", toml.to_str().unwrap())]);
    assert!(in_toml.starts_with("server in ") && in_toml.contains("my.toml is not a setting"), "{in_toml}");
}

#[test]
fn variables_of_other_programs_are_ignored() {
    settings(&[
        ("PATH", "/bin"),
        ("GREENROOM_TEST_DATABASE", "postgres"),
        ("GREENROOMS", "1"),
        ("DATABASE_URLS", "a,b"),
    ]);
}

#[test]
fn a_wrong_value_is_reported_with_the_expected_form() {
    assert_eq!(
        refusal(&[("GREENROOM_PORT", "eighty")]),
        "GREENROOM_PORT is \"eighty\". It must be a port from 1 to 65535."
    );
    for (name, value) in [
        ("GREENROOM_HOST", "localhost"),
        ("GREENROOM_PORT", "0"),
        ("GREENROOM_PORT", "65536"),
        ("GREENROOM_PUBLIC_URL", "chat.example.org"),
        ("GREENROOM_PUBLIC_URL", "https://example.org/chat"),
        ("GREENROOM_ALLOWED_ORIGINS", "*"),
        ("GREENROOM_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("GREENROOM_NODE_ID", "a b"),
        ("GREENROOM_DATA_DIR", "a\nb"),
        ("DATABASE_URL", "mysql://localhost/a"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("GREENROOM_DB_CONNECTIONS", "7"),
        ("GREENROOM_WRITERS", "0"),
        ("GREENROOM_DB_SCHEMA", "My Schema"),
        ("GREENROOM_AUTO_MIGRATE", "maybe"),
        ("GREENROOM_JWT_SECRET", "0123456789012345678901234567890"),
        ("GREENROOM_JWT_SECRET_SECONDARY", "short"),
        ("GREENROOM_REGISTRATION", "maybe"),
        ("GREENROOM_ADMIN_USERNAME", "ada"),
        ("GREENROOM_ADMIN_PASSWORD", "long enough"),
        ("GREENROOM_LIMIT_AUTH_PER_MINUTE", "-1"),
        ("GREENROOM_LIMIT_SENDS_PER_SECOND", "1.5"),
        ("GREENROOM_LIMIT_API_PER_SECOND", "many"),
        ("GREENROOM_LIMIT_UPLOAD_BYTES", "0"),
        ("GREENROOM_LIMIT_UPLOAD_QUOTA_BYTES", "2 GiB"),
        ("GREENROOM_LOG", "greenroom=loud"),
        ("GREENROOM_LOG_FORMAT", "xml"),
        ("GREENROOM_LOG_RETENTION_DAYS", "0"),
        ("REDIS_URL", "localhost"),
        ("GREENROOM_REDIS_CONNECTIONS", "0"),
        ("GREENROOM_AUTH_JWKS_URL", "ftp://example.org/keys"),
        ("GREENROOM_AUTH_SHARED_SECRET", "short"),
        ("GREENROOM_UPLOADS_URL", "/srv/uploads"),
        ("GREENROOM_ALLOW_PRIVATE_ADDRESSES", "perhaps"),
        ("GREENROOM_ENV_FILE", "/nowhere/at/all"),
        ("GREENROOM_CONFIG", "/nowhere/at/all"),
        ("GREENROOM_JWT_SECRET_FILE", "/nowhere/at/all"),
    ] {
        let line = refusal(&[(name, value)]);
        assert!(line.contains(name) || line.contains(value), "{name}={value}: {line}");
    }
}

#[test]
fn a_wrong_secret_is_not_shown() {
    for (name, value) in [("GREENROOM_JWT_SECRET", "hunter2"), ("DATABASE_URL", "mysql://ada:hunter2@localhost/a")] {
        assert!(!refusal(&[(name, value)]).contains("hunter2"));
    }
    let folder = TempDir::new().unwrap();
    let (env_file, toml) = (folder.path().join(".env"), folder.path().join("greenroom.toml"));
    fs::write(&env_file, "GREENROOM_JWT_SECRET=hunter2 with 'quote\n").unwrap();
    let line = refusal(&[("GREENROOM_ENV_FILE", env_file.to_str().unwrap())]);
    assert!(line.contains("GREENROOM_JWT_SECRET") && !line.contains("hunter2"), "{line}");
    fs::write(&toml, "port = 1\njwt_secret = hunter2\n").unwrap();
    let line = refusal(&[("GREENROOM_CONFIG", toml.to_str().unwrap())]);
    assert!(line.contains("line 2") && !line.contains("hunter2"), "{line}");
    let read = settings(&[("DATABASE_URL", "postgres://ada:hunter2@localhost/a")]);
    assert!(!format!("{read:?}").contains("hunter2"));
}

#[test]
fn sqlite_has_one_writer_and_postgresql_enough_connections() {
    assert_eq!(settings(&[("GREENROOM_WRITERS", "4")]).database.writers, 1);
    let postgres = ("DATABASE_URL", "postgres://localhost/a");
    assert_eq!(settings(&[postgres]).database.writers, 4);
    for connections in 8..=1000_u32 {
        let database = settings(&[postgres, ("GREENROOM_DB_CONNECTIONS", &connections.to_string())]).database;
        let shares = database.connection_shares();
        let ConnectionShares { write, authentication, ordinary, log, heavy } = shares;
        let read = authentication + ordinary + log + heavy;
        assert_eq!(write + read + 1, connections, "the shares and the probe use all connections: {shares:?}");
        assert!(authentication >= 1 && ordinary >= 1 && log >= 1 && heavy >= 1, "{shares:?}");
        // Each kind of write has as many connections as it uses at the same time, so that none waits for another.
        let writing = shares.write_connections(database.writers).unwrap();
        assert_eq!(database.writers + writing.server + writing.users, write as usize, "{writing:?}");
        assert!(writing.server >= 1 && writing.users >= database.writers, "{writing:?}");
    }
    let writing = settings(&[postgres]).database.connection_shares().write_connections(4).unwrap();
    assert_eq!((writing.server, writing.users), (2, 4));
    let line = refusal(&[postgres, ("GREENROOM_WRITERS", "4"), ("GREENROOM_DB_CONNECTIONS", "8")]);
    assert!(line.contains("GREENROOM_DB_CONNECTIONS") && line.contains("GREENROOM_WRITERS"), "{line}");
}

#[test]
fn the_default_database_is_in_the_data_folder_for_any_folder_name() {
    let url = |folder| settings(&[("GREENROOM_DATA_DIR", folder)]).database.url.expose().to_owned();
    assert_eq!(url("/srv/green room/"), "sqlite:///srv/green room/greenroom.db?mode=rwc");
    assert_eq!(url("50% #1?"), "sqlite://50%25 %231%3F/greenroom.db?mode=rwc");
}

#[test]
fn settings_without_effect_are_reported_in_one_line() {
    assert_eq!(settings(&[("GREENROOM_PORT", "1")]).unused_warning(), None);
    let line = settings(&[("REDIS_URL", "redis://localhost"), ("GREENROOM_UPLOADS_URL", "s3://bucket")])
        .unused_warning()
        .unwrap();
    assert!(
        line.starts_with("REDIS_URL, GREENROOM_UPLOADS_URL are set, but this version does not use them."),
        "{line}"
    );
    assert!(line.contains("within 2 s"), "{line}");
}

#[test]
fn a_node_without_a_name_gets_a_new_one_each_time() {
    assert_ne!(settings(&[]).node_id, settings(&[]).node_id);
    assert_eq!(settings(&[("GREENROOM_NODE_ID", "a.1")]).node_id, "a.1");
}
