//! Reads the sources of settings: the environment, the env file and the TOML file.
//!
//! The environment is stronger than the env file, which is stronger than the TOML file. The result is one text for each
//! variable, which [`super::reader`] converts. This module also reads the file that a `_FILE` variable of a secret
//! names.

use super::SettingsError;
use super::variables::{self, Variable};
use ::config::{Config, ConfigError, Environment, FileFormat, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The env file if [`variables::ENV_FILE`] is not set.
pub(super) const DEFAULT_ENV_FILE: &str = ".env";

/// The merged sources, with one text for each variable that is set. A variable with an empty value is not set.
pub(super) struct Sources(Config);

/// The variables of one source. The keys are those of [`Variable::key`].
type SourceLayer = BTreeMap<String, String>;

impl Sources {
    /// Reads all sources. `default_env_file` may be missing, but a file that a variable names must exist.
    pub(super) fn read(
        pairs: impl IntoIterator<Item = (String, String)>,
        default_env_file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let environment = require_known(pairs, "the environment")?;
        let env_file = match (environment.get(variables::ENV_FILE), default_env_file) {
            (Some(path), _) => read_env_file(Path::new(path))?,
            (None, Some(path)) if path.exists() => read_env_file(path)?,
            (None, _) => BTreeMap::new(),
        };
        let toml = match environment.get(variables::CONFIG).or_else(|| env_file.get(variables::CONFIG)) {
            Some(path) => read_toml(Path::new(path))?,
            None => BTreeMap::new(),
        };
        let mut builder = Config::builder();
        for layer in [toml, env_file, environment] {
            let layer: Map<String, String> = read_secret_files(&layer)?.into_iter().collect();
            builder = builder.add_source(Environment::default().source(Some(layer)).ignore_empty(true));
        }
        builder.build().map(Self).map_err(|error| SettingsError::new(error.to_string()))
    }

    /// Returns the text of a variable; `None` if it is not set.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, SettingsError> {
        match self.0.get_string(&variables::key(name)) {
            Ok(text) => Ok(Some(text)),
            Err(ConfigError::NotFound(_)) => Ok(None),
            Err(error) => Err(SettingsError::new(format!("{name}: {error}"))),
        }
    }
}

/// Returns the variables of Greenroom that are not empty. An unknown variable of Greenroom is an error, because it is
/// probably misspelled.
fn require_known(
    pairs: impl IntoIterator<Item = (String, String)>,
    source: &str,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut known = BTreeMap::new();
    for (name, value) in pairs {
        if !variables::is_for_greenroom(&name) {
            continue;
        }
        if Variable::find(&name).is_none() && Variable::find_by_file_name(&name).is_none() {
            let nearest = variables::nearest(&name);
            return Err(SettingsError::new(format!("{name} in {source} is not a setting. Did you mean {nearest}?")));
        }
        if !value.trim().is_empty() {
            known.insert(name, value);
        }
    }
    Ok(known)
}

/// Reads a file in UTF-8, without the byte order mark that some editors on Windows write.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is UTF-16; save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn read_env_file(path: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let file = path.display().to_string();
    let text = read_text(path).map_err(|error| SettingsError::new(format!("{file} cannot be read: {error}.")))?;
    let pairs: Vec<_> = dotenvy::from_read_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| env_file_error(&file, &error))?;
    let values = require_known(pairs, &file)?;
    if values.contains_key(variables::ENV_FILE) {
        let name = variables::ENV_FILE;
        return Err(SettingsError::new(format!("{name} has no effect in {file}. Set it in the environment.")));
    }
    Ok(values)
}

/// Returns the error for a line that cannot be read. The line may contain a secret, so the error shows only the name
/// before its `=`.
fn env_file_error(file: &str, error: &dotenvy::Error) -> SettingsError {
    SettingsError::new(match error {
        dotenvy::Error::Io(error) => format!("{file} cannot be read: {error}."),
        dotenvy::Error::LineParse(line, _) => match line.split_once('=') {
            Some((name, _)) => format!(
                "The line of {} in {file} cannot be read. Put a value with spaces, quotes, $ or # in single quotes.",
                name.trim()
            ),
            None => format!("A line in {file} cannot be read. Write every line in the form NAME=value."),
        },
        _ => format!("{file} cannot be read."),
    })
}

fn read_toml(path: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let file = path.display();
    let text = read_text(path).map_err(|error| {
        SettingsError::new(format!("{} names {file}, which cannot be read: {error}.", variables::CONFIG))
    })?;
    let table = ::config::File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
        // The lines between the first and the last quote the file, which may contain a secret.
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        let last = error.lines().last().filter(|last| *last != first).unwrap_or_default();
        SettingsError::new(format!("{file} is not valid TOML: {first} {last}").trim_end().to_owned())
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(name) = variable_of_key(&key) else {
            let nearest = variables::key(&variables::nearest(&key));
            return Err(SettingsError::new(format!("{key} in {file} is not a setting. Did you mean {nearest}?")));
        };
        let text = value_text(value).ok_or_else(|| {
            SettingsError::new(format!("{key} in {file} must be a string, a number, a boolean or a list of them."))
        })?;
        if !text.trim().is_empty() {
            values.insert(name, text);
        }
    }
    Ok(values)
}

/// Returns the variable, or the `_FILE` variable of a secret, that a TOML key means.
fn variable_of_key(key: &str) -> Option<String> {
    let allowed = variables::VARIABLES
        .iter()
        .filter(|variable| ![variables::ENV_FILE, variables::CONFIG].contains(&variable.name));
    for variable in allowed {
        if variable.key() == key {
            return Some(variable.name.to_owned());
        }
        if variable.secret && key.strip_suffix("_file").is_some_and(|key| variable.key() == key) {
            return Some(format!("{}_FILE", variable.name));
        }
    }
    None
}

/// Returns a TOML value in the form of the environment. The items of a list are separated by commas.
fn value_text(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(items) => {
            items.into_iter().map(value_text).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        ValueKind::Table(_) | ValueKind::Nil => None,
        _ => value.into_string().ok(),
    }
}

/// Replaces each `_FILE` variable by the secret in the file that it names, and each name by its key.
fn read_secret_files(values: &BTreeMap<String, String>) -> Result<SourceLayer, SettingsError> {
    let mut layer = SourceLayer::new();
    for (name, value) in values {
        let Some(variable) = Variable::find_by_file_name(name) else {
            layer.insert(variables::key(name), value.clone());
            continue;
        };
        if values.contains_key(variable.name) {
            return Err(SettingsError::new(format!(
                "{} and {name} are both set. Set only one of them.",
                variable.name
            )));
        }
        let text = read_text(Path::new(value))
            .map_err(|error| SettingsError::new(format!("{name} names {value:?}, which cannot be read: {error}.")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SettingsError::new(format!(
                "{name} names {value:?}, which is empty. Write the secret into it."
            )));
        }
        layer.insert(variable.key(), text.to_owned());
    }
    Ok(layer)
}
