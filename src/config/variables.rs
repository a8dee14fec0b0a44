//! Lists every variable that an operator may set, and finds the variable that a misspelled name means.

/// A variable of the environment that is a setting.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name in the environment. In a TOML file it is in lower case and without `GREENROOM_`.
    pub name: &'static str,
    /// Whether the value is never shown. The variable `<name>_FILE` may name a file with the value.
    pub secret: bool,
    /// Whether this version uses the variable. If not, the variable is accepted and the server logs a warning at the
    /// start.
    pub used: bool,
}

const fn plain(name: &'static str) -> Variable {
    Variable { name, secret: false, used: true }
}

const fn secret(name: &'static str) -> Variable {
    Variable { name, secret: true, used: true }
}

const fn unused(variable: Variable) -> Variable {
    Variable { used: false, ..variable }
}

/// Names the file that is read instead of `.env`. It has an effect only in the environment.
pub const ENV_FILE: &str = "GREENROOM_ENV_FILE";
/// Names the TOML file. It has an effect in the environment and in the env file.
pub const CONFIG: &str = "GREENROOM_CONFIG";
/// Variables with this prefix are settings of the tests. The server ignores them.
const TEST_PREFIX: &str = "GREENROOM_TEST_";

/// All variables, in the order of `.env.example`.
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
    unused(secret("REDIS_URL")),
    unused(plain("GREENROOM_REDIS_CONNECTIONS")),
    unused(plain("GREENROOM_AUTH_JWKS_FILE")),
    unused(plain("GREENROOM_AUTH_JWKS_URL")),
    unused(secret("GREENROOM_AUTH_SHARED_SECRET")),
    unused(secret("GREENROOM_AUTH_SHARED_SECRET_SECONDARY")),
    unused(plain("GREENROOM_AUTH_ISSUER")),
    unused(plain("GREENROOM_AUTH_AUDIENCE")),
    unused(plain("GREENROOM_AUTH_ADMIN_ROLE")),
    unused(plain("GREENROOM_UPLOADS_URL")),
    unused(plain("GREENROOM_LIMIT_UPLOAD_BYTES")),
    unused(plain("GREENROOM_LIMIT_UPLOAD_QUOTA_BYTES")),
    unused(plain("GREENROOM_ALLOW_PRIVATE_ADDRESSES")),
];

impl Variable {
    /// Returns the variable with this name; `None` if there is no such setting.
    pub fn find(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }

    /// Returns the variable of the secret that the `_FILE` variable with this name can set.
    pub(super) fn find_by_file_name(name: &str) -> Option<&'static Self> {
        let name = name.strip_suffix("_FILE")?;
        VARIABLES.iter().find(|variable| variable.secret && variable.name == name)
    }

    /// Returns the name in a TOML file, which is also the key under which the sources are merged.
    pub fn key(&self) -> String {
        key(self.name)
    }
}

/// Returns the name of a variable, or of a `_FILE` variable, in a TOML file.
pub(super) fn key(name: &str) -> String {
    name.strip_prefix("GREENROOM_").unwrap_or(name).to_ascii_lowercase()
}

/// Returns whether a variable of the environment is for Greenroom, even if its name is misspelled.
pub(super) fn is_for_greenroom(name: &str) -> bool {
    let prefixed = name.starts_with("GREENROOM_") && !name.starts_with(TEST_PREFIX);
    prefixed || Variable::find(name).is_some() || Variable::find_by_file_name(name).is_some()
}

/// Returns the known name that is most similar to `name`.
pub(super) fn nearest(name: &str) -> String {
    let unknown = key(name);
    let file_names =
        VARIABLES.iter().filter(|variable| variable.secret).map(|variable| format!("{}_FILE", variable.name));
    let names = VARIABLES.iter().map(|variable| variable.name.to_owned()).chain(file_names);
    names.min_by_key(|known| distance(&unknown, &key(known))).expect("there are variables")
}

/// Returns the Levenshtein distance: the number of inserted, removed and replaced letters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // The row contains the distances between the letters of `one` read so far and each prefix of `other`.
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
    fn the_distance_counts_inserted_removed_and_replaced_letters() {
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
    fn a_name_with_a_needless_prefix_is_nearest_to_the_name_without_it() {
        assert_eq!(nearest("GREENROOM_DATABASE_URL"), "DATABASE_URL");
        assert_eq!(nearest("GREENROOM_JWT_SECRETS_FILE"), "GREENROOM_JWT_SECRET_FILE");
    }
}
