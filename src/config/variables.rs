//! Every variable an operator may set, in the order of `.env.example`, and the nearest one to a name that is none.

/// A variable of the environment.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name in the environment; in a TOML file it is the same in lower case, without `GREENROOM_`.
    pub name: &'static str,
    /// Whether its value is never shown, and may be given in a file named by `<name>_FILE`.
    pub secret: bool,
    /// Whether this version does anything with it; if not, it is accepted and the start says so.
    pub used: bool,
}

const fn plain(name: &'static str) -> Variable {
    Variable { name, secret: false, used: true }
}

const fn secret(name: &'static str) -> Variable {
    Variable { name, secret: true, used: true }
}

const fn later(variable: Variable) -> Variable {
    Variable { used: false, ..variable }
}

/// Names the file that is read like `.env`; only the environment itself can say it.
pub const ENV_FILE: &str = "GREENROOM_ENV_FILE";
/// Names the TOML file; the environment or the env file says it.
pub const CONFIG: &str = "GREENROOM_CONFIG";
/// Names that start so belong to the tests and are not looked at.
const OF_THE_TESTS: &str = "GREENROOM_TEST_";

/// All of them.
pub const VARIABLES: &[Variable] = &[
    plain(ENV_FILE),
    plain(CONFIG),
    plain("GREENROOM_HOST"),
    plain("GREENROOM_PORT"),
    plain("GREENROOM_PUBLIC_URL"),
    plain("GREENROOM_ALLOWED_ORIGINS"),
    plain("GREENROOM_TRUSTED_PROXIES"),
    plain("GREENROOM_NODE_ID"),
    plain("GREENROOM_DATA_DIR"),
    secret("DATABASE_URL"),
    plain("GREENROOM_DB_CONNECTIONS"),
    plain("GREENROOM_WRITERS"),
    plain("GREENROOM_DB_SCHEMA"),
    plain("GREENROOM_AUTO_MIGRATE"),
    secret("GREENROOM_JWT_SECRET"),
    secret("GREENROOM_JWT_SECRET_SECONDARY"),
    plain("GREENROOM_REGISTRATION"),
    plain("GREENROOM_ADMIN_USERNAME"),
    secret("GREENROOM_ADMIN_PASSWORD"),
    plain("GREENROOM_LIMIT_AUTH_PER_MINUTE"),
    plain("GREENROOM_LIMIT_SENDS_PER_SECOND"),
    plain("GREENROOM_LIMIT_API_PER_SECOND"),
    plain("GREENROOM_LOG"),
    plain("GREENROOM_LOG_FORMAT"),
    plain("GREENROOM_LOG_RETENTION_DAYS"),
    later(secret("REDIS_URL")),
    later(plain("GREENROOM_REDIS_CONNECTIONS")),
    later(plain("GREENROOM_AUTH_JWKS_FILE")),
    later(plain("GREENROOM_AUTH_JWKS_URL")),
    later(secret("GREENROOM_AUTH_SHARED_SECRET")),
    later(secret("GREENROOM_AUTH_SHARED_SECRET_SECONDARY")),
    later(plain("GREENROOM_AUTH_ISSUER")),
    later(plain("GREENROOM_AUTH_AUDIENCE")),
    later(plain("GREENROOM_AUTH_ADMIN_ROLE")),
    later(plain("GREENROOM_UPLOADS_URL")),
    later(plain("GREENROOM_LIMIT_UPLOAD_BYTES")),
    later(plain("GREENROOM_LIMIT_UPLOAD_QUOTA_BYTES")),
    later(plain("GREENROOM_ALLOW_PRIVATE_ADDRESSES")),
];

impl Variable {
    /// The variable with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }

    /// The secret whose `_FILE` twin has this name.
    pub(super) fn of_twin(name: &str) -> Option<&'static Self> {
        let name = name.strip_suffix("_FILE")?;
        VARIABLES.iter().find(|variable| variable.secret && variable.name == name)
    }

    /// Its name in a TOML file, which is also its key where the sources are laid over each other.
    pub fn key(&self) -> String {
        key(self.name)
    }
}

/// The name of a variable (or its twin) as it is written in a TOML file.
pub(super) fn key(name: &str) -> String {
    name.strip_prefix("GREENROOM_").unwrap_or(name).to_ascii_lowercase()
}

/// Whether a variable of the environment is meant for us, rightly spelled or not.
pub(super) fn is_ours(name: &str) -> bool {
    let prefixed = name.starts_with("GREENROOM_") && !name.starts_with(OF_THE_TESTS);
    prefixed || Variable::find(name).is_some() || Variable::of_twin(name).is_some()
}

/// The known name that `name` is probably meant to be.
pub(super) fn nearest(name: &str) -> String {
    let wanted = key(name);
    let twins = VARIABLES.iter().filter(|variable| variable.secret).map(|variable| format!("{}_FILE", variable.name));
    let names = VARIABLES.iter().map(|variable| variable.name.to_owned()).chain(twins);
    names.min_by_key(|known| distance(&wanted, &key(known))).expect("there are variables")
}

/// How many letters must be put in, taken out or replaced to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // the distances of the part of `one` read so far to every beginning of `other`
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (read, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = read + 1;
        for (column, &against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters_put_in_taken_out_and_replaced() {
        for (one, other, expected) in [
            ("", "", 0),
            ("port", "port", 0),
            ("port", "ports", 1),
            ("prot", "port", 2),
            ("", "port", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_name_with_a_prefix_too_many_is_nearest_to_the_one_without() {
        assert_eq!(nearest("GREENROOM_DATABASE_URL"), "DATABASE_URL");
        assert_eq!(nearest("GREENROOM_JWT_SECRETS_FILE"), "GREENROOM_JWT_SECRET_FILE");
    }
}
