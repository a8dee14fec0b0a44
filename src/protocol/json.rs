//! The strict reader for JSON from clients: its errors name the field that does not fit. Bodies and frames use it.

use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads a JSON object into `T`. Malformed JSON is `invalid_request`. Everything else that does not fit is
/// `validation_failed` with the path of the field.
pub fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    if !text.trim_start().starts_with('{') {
        // Serde reads a list as an object whose fields are in order, so a list must be refused here.
        return Err(syntax_error(text).unwrap_or_else(|| Error::invalid(".", "must be an object")));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = match serde_path_to_error::deserialize(&mut reader) {
        Ok(value) => value,
        // Malformed JSON is reported before a field that does not fit, even if it comes later in the text.
        Err(error) => return Err(syntax_error(text).unwrap_or_else(|| field_error(error))),
    };
    reader.end().map_err(|error| Error::invalid_request(format!("The JSON is malformed: {error}.")))?;
    Ok(value)
}

/// Returns the error for a text that is not JSON: `None` if the text is JSON.
fn syntax_error(text: &str) -> Option<Error> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    Some(Error::invalid_request(format!("The JSON is malformed: {error}.")))
}

/// Reads bytes like [`from_json`]. Bytes that are not UTF-8 are `invalid_request`.
pub fn from_json_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid_request("The body is not UTF-8."))?;
    from_json(text)
}

/// Returns the error for a value that does not fit into its field.
fn field_error(error: serde_path_to_error::Error<serde_json::Error>) -> Error {
    use serde_json::error::Category;
    let path = error.path().to_string();
    let cause = error.into_inner();
    if matches!(cause.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return Error::invalid_request(format!("The JSON is malformed: {cause}."));
    }
    // serde_json appends " at line 1 column 2", which does not belong in the message about a field.
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
