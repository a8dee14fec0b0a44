//! Where settings are read: the environment over the env file over the TOML file. The result is one text per variable;
//! what the texts mean is decided next door. A secret's `_FILE` twin is opened here.

use super::SettingsError;
use super::variables::{self, Variable};
use ::config::{Config, ConfigError, Environment, FileFormat, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The file that is read when [`variables::ENV_FILE`] names none.
pub(super) const DEFAULT_ENV_FILE: &str = ".env";

/// What the operator said, one text per variable; an empty one was not said.
pub(super) struct Sources(Config);

/// One source: keys as in [`Variable::key`], values as text.
type Layer = BTreeMap<String, String>;

impl Sources {
    /// Reads all sources. `default_env_file` is read if it is there; a file that was named must be there.
    pub(super) fn read(
        pairs: impl IntoIterator<Item = (String, String)>,
        default_env_file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let environment = known(pairs, "the environment")?;
        let env_file = match (environment.get(variables::ENV_FILE), default_env_file) {
            (Some(named), _) => read_env_file(Path::new(named))?,
            (None, Some(path)) if path.exists() => read_env_file(path)?,
            (None, _) => BTreeMap::new(),
        };
        let toml = match environment.get(variables::CONFIG).or_else(|| env_file.get(variables::CONFIG)) {
            Some(named) => read_toml(Path::new(named))?,
            None => BTreeMap::new(),
        };
        let mut builder = Config::builder();
        for layer in [toml, env_file, environment] {
            let layer: Map<String, String> = with_twins(&layer)?.into_iter().collect();
            builder = builder.add_source(Environment::default().source(Some(layer)).ignore_empty(true));
        }
        builder.build().map(Self).map_err(|error| SettingsError::new(error.to_string()))
    }

    /// What was said about a variable.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, SettingsError> {
        match self.0.get_string(&variables::key(name)) {
            Ok(text) => Ok(Some(text)),
            Err(ConfigError::NotFound(_)) => Ok(None),
            Err(error) => Err(SettingsError::new(format!("{name}: {error}"))),
        }
    }
}

/// Those of `pairs` that are ours and not empty; a misspelled one is an error.
fn known(
    pairs: impl IntoIterator<Item = (String, String)>,
    source: &str,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut ours = BTreeMap::new();
    for (name, value) in pairs {
        if !variables::is_ours(&name) {
            continue;
        }
        if Variable::find(&name).is_none() && Variable::of_twin(&name).is_none() {
            let nearest = variables::nearest(&name);
            return Err(SettingsError::new(format!("{name} in {source} is not a setting; did you mean {nearest}?")));
        }
        if !value.trim().is_empty() {
            ours.insert(name, value);
        }
    }
    Ok(ours)
}

/// The text of a file, without the byte order mark that editors on Windows put before it.
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
    let shown = path.display().to_string();
    let text = read_text(path).map_err(|error| SettingsError::new(format!("{shown} cannot be read: {error}")))?;
    let pairs: Vec<_> = dotenvy::from_read_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| env_file_error(&shown, &error))?;
    let values = known(pairs, &shown)?;
    if values.contains_key(variables::ENV_FILE) {
        let name = variables::ENV_FILE;
        return Err(SettingsError::new(format!("{name} in {shown} has no effect; set it in the environment")));
    }
    Ok(values)
}

/// The line itself may hold a secret, so only the name before its `=` is shown.
fn env_file_error(shown: &str, error: &dotenvy::Error) -> SettingsError {
    SettingsError::new(match error {
        dotenvy::Error::Io(error) => format!("{shown} cannot be read: {error}"),
        dotenvy::Error::LineParse(line, _) => match line.split_once('=') {
            Some((name, _)) => format!(
                "the line of {} in {shown} cannot be read; put a value with spaces, quotes, $ or # in single quotes",
                name.trim()
            ),
            None => format!("a line in {shown} is not of the form NAME=value"),
        },
        _ => format!("{shown} cannot be read"),
    })
}

fn read_toml(path: &Path) -> Result<BTreeMap<String, String>, SettingsError> {
    let shown = path.display();
    let text = read_text(path).map_err(|error| {
        SettingsError::new(format!("{shown}, named by {}, cannot be read: {error}", variables::CONFIG))
    })?;
    let table = ::config::File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
        // the lines between the first and the last show the text of the file, which may be a secret
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        let last = error.lines().last().filter(|last| *last != first).unwrap_or_default();
        SettingsError::new(format!("{shown}: {first} {last}").trim_end().to_owned())
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(name) = name_of_key(&key) else {
            let nearest = variables::key(&variables::nearest(&key));
            return Err(SettingsError::new(format!("{key} in {shown} is not a setting; did you mean {nearest}?")));
        };
        let text = flat(value).ok_or_else(|| {
            SettingsError::new(format!("{key} in {shown} must be a string, a number, a boolean or a list of them"))
        })?;
        if !text.trim().is_empty() {
            values.insert(name, text);
        }
    }
    Ok(values)
}

/// The variable, or the twin of one, that a TOML key means.
fn name_of_key(key: &str) -> Option<String> {
    let here = variables::VARIABLES
        .iter()
        .filter(|variable| ![variables::ENV_FILE, variables::CONFIG].contains(&variable.name));
    for variable in here {
        if variable.key() == key {
            return Some(variable.name.to_owned());
        }
        if variable.secret && key.strip_suffix("_file").is_some_and(|key| variable.key() == key) {
            return Some(format!("{}_FILE", variable.name));
        }
    }
    None
}

/// A TOML value as it would be written in the environment; lists are separated by commas.
fn flat(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(items) => items.into_iter().map(flat).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        ValueKind::Table(_) | ValueKind::Nil => None,
        _ => value.into_string().ok(),
    }
}

/// Replaces each `_FILE` twin by the content of the file that it names, and names by keys.
fn with_twins(values: &BTreeMap<String, String>) -> Result<Layer, SettingsError> {
    let mut layer = Layer::new();
    for (name, value) in values {
        let Some(variable) = Variable::of_twin(name) else {
            layer.insert(variables::key(name), value.clone());
            continue;
        };
        if values.contains_key(variable.name) {
            return Err(SettingsError::new(format!("set {} or {name}, not both", variable.name)));
        }
        let text = read_text(Path::new(value))
            .map_err(|error| SettingsError::new(format!("{name} names {value:?}, which cannot be read: {error}")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SettingsError::new(format!("{name} names {value:?}, which is empty")));
        }
        layer.insert(variable.key(), text.to_owned());
    }
    Ok(layer)
}
