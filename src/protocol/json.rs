//! JSON from clients, read strictly: what does not fit is refused by the name of its field. The same for bodies and frames.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads JSON strictly: malformed JSON is `invalid_request`, anything else that does not fit `validation_failed` with
/// the field's path.
pub fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    if !text.trim_start().starts_with('{') {
        // a list would pass for an object whose fields stand in order
        return Err(malformed(text).unwrap_or_else(|| Error::invalid(".", "must be an object")));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = match serde_path_to_error::deserialize(&mut reader) {
        Ok(value) => value,
        // a value that does not fit is told only of what is JSON to its end
        Err(error) => return Err(malformed(text).unwrap_or_else(|| refused(error))),
    };
    reader.end().map_err(|error| Error::invalid_request(format!("malformed JSON: {error}")))?;
    Ok(value)
}

/// The refusal of a text that is no JSON.
fn malformed(text: &str) -> Option<Error> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    Some(Error::invalid_request(format!("malformed JSON: {error}")))
}

/// [`from_json`] of bytes that may not be UTF-8.
pub fn from_json_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid_request("the body is not UTF-8"))?;
    from_json(text)
}

fn refused(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    use serde_json::error::Category;
    let path = error.path().to_string();
    let cause = error.into_inner();
    if matches!(cause.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return Error::invalid_request(format!("malformed JSON: {cause}"));
    }
    // serde_json appends " at line 1 column 2", which helps nobody who reads a field's message
    let text = cause.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    let named = |prefix: &str| {
        message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(|field| {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            if path.ends_with(field) || path == "." || path.is_empty() {
                if path == "." || path.is_empty() { field.to_owned() } else { path.clone() }
            } else if parent.is_empty() {
                format!("{path}.{field}")
            } else {
                format!("{parent}.{field}")
            }
        })
    };
    if let Some(field) = named("unknown field `") {
        return Error::invalid(field, "is not a field this takes");
    }
    if let Some(field) = named("missing field `") {
        return Error::invalid(field, "is needed");
    }
    let message = match message.split_once(", expected struct ") {
        Some((found, _)) => format!("{found}, expected an object"),
        None if message.contains("untagged enum FrameId") => "must be a number or a text".to_owned(),
        None => message.to_owned(),
    };
    Error::invalid(if path.is_empty() { ".".to_owned() } else { path }, message)
}
