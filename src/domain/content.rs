//! The content of messages: the rules for its text, its kind and its typed data.

use super::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// The kind of a message, which decides which content and `data` it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    Text,
    Image,
    Video,
    Audio,
    /// Files of other types.
    File,
    /// Attachments of several kinds, or attachments with text.
    Mixed,
    /// `data: {pack, id}`
    Sticker,
    /// `data: {lat, lon, label?}`
    Location,
    /// `data: {name, phone?, email?, user_id?}`
    Contact,
    /// The server wrote the message. Its `data` describes the change that the message reports.
    System,
}

impl MessageKind {
    /// Returns the name of the kind in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::File => "file",
            Self::Mixed => "mixed",
            Self::Sticker => "sticker",
            Self::Location => "location",
            Self::Contact => "contact",
            Self::System => "system",
        }
    }

    /// Reads the name from the database. An unknown name means [`Self::Text`].
    pub fn from_stored(text: &str) -> Self {
        match text {
            "image" => Self::Image,
            "video" => Self::Video,
            "audio" => Self::Audio,
            "file" => Self::File,
            "mixed" => Self::Mixed,
            "sticker" => Self::Sticker,
            "location" => Self::Location,
            "contact" => Self::Contact,
            "system" => Self::System,
            _ => Self::Text,
        }
    }
}

/// The text of a message: trimmed, without NUL, at most 10,000 Unicode scalar values. It may be empty, because a
/// message may consist of `data` or attachments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content(String);

impl Content {
    /// Trims and checks a text. A text of invisible characters becomes empty. The error is the end of a sentence that
    /// begins with the name of the field.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let text = text.trim();
        if text.contains('\0') {
            return Err("must not contain NUL".into());
        }
        if text.len() > limits::CONTENT_CHARS && text.chars().count() > limits::CONTENT_CHARS {
            return Err(limits::at_most(limits::CONTENT_CHARS, "characters"));
        }
        Ok(Self(if super::text::is_blank(text) { String::new() } else { text.to_owned() }))
    }

    /// Returns the text without spaces at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if a message with this text needs `data` or attachments.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The id that a client chooses for a send or for a new group: 1–64 characters, no control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TempId(String);

impl TempId {
    /// Checks an id. The error is the end of a sentence that begins with the name of the field.
    pub fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        if text.is_empty() || text.chars().count() > limits::TEMP_ID_CHARS {
            return Err(limits::out_of_range(&(1..=limits::TEMP_ID_CHARS)));
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes an id from the database, which contains only ids that were parsed.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the id as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StickerData {
    pack: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationData {
    lat: f64,
    lon: f64,
    #[serde(default)]
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactData {
    name: String,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default, rename = "user_id")]
    _user_id: Option<uuid::Uuid>,
}

/// Checks the `data` of a message of `kind`: at most 4 KiB, only the fields of the kind, no empty field, valid
/// coordinates. The error is the end of a sentence that begins with the name of the field.
pub fn check_data(kind: MessageKind, data: Option<&Value>) -> Result<(), String> {
    let Some(data) = data else {
        return match kind {
            MessageKind::Sticker | MessageKind::Location | MessageKind::Contact => {
                Err(format!("is required for a message of type {}", kind.as_str()))
            }
            _ => Ok(()),
        };
    };
    let text = data.to_string();
    if text.len() > limits::DATA_BYTES {
        return Err(limits::at_most(limits::DATA_BYTES, "bytes").into_owned());
    }
    match kind {
        MessageKind::Sticker => {
            let sticker: StickerData = read_data(data)?;
            check_texts(&[Some(&sticker.pack), Some(&sticker.id)])
        }
        MessageKind::Location => {
            let location: LocationData = read_data(data)?;
            if !(-90.0..=90.0).contains(&location.lat) || !(-180.0..=180.0).contains(&location.lon) {
                return Err("must have a lat from -90 to 90 and a lon from -180 to 180".into());
            }
            check_texts(&[location.label.as_ref()])
        }
        MessageKind::Contact => {
            let contact: ContactData = read_data(data)?;
            check_texts(&[Some(&contact.name), contact.phone.as_ref(), contact.email.as_ref()])
        }
        _ => Err(format!("is only for messages of type sticker, location or contact, not {}", kind.as_str())),
    }
}

fn read_data<T: for<'de> Deserialize<'de>>(data: &Value) -> Result<T, String> {
    if !data.is_object() {
        return Err("must be a JSON object".into());
    }
    T::deserialize(data).map_err(|error| error.to_string())
}

fn check_texts(fields: &[Option<&String>]) -> Result<(), String> {
    if fields.iter().flatten().any(|field| field.trim().is_empty()) {
        return Err("must not contain an empty field".into());
    }
    if fields.iter().flatten().any(|field| field.contains('\0')) {
        return Err("must not contain NUL".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_is_trimmed_and_counted_in_characters() {
        assert_eq!(Content::parse("  hi \n").as_ref().map(Content::as_str), Ok("hi"));
        assert!(Content::parse("\u{200b}").is_ok_and(|content| content.is_empty()));
        assert!(Content::parse(&"é".repeat(limits::CONTENT_CHARS)).is_ok());
        assert!(Content::parse(&"é".repeat(limits::CONTENT_CHARS + 1)).is_err());
        assert!(Content::parse("a\0b").is_err());
    }

    #[test]
    fn a_temp_id_is_short_and_has_no_control_characters() {
        assert!(TempId::parse(&"é".repeat(limits::TEMP_ID_CHARS)).is_ok());
        for bad in ["", "a\n", &"é".repeat(limits::TEMP_ID_CHARS + 1)] {
            assert!(TempId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn data_has_only_the_fields_of_its_kind() {
        assert!(check_data(MessageKind::Location, Some(&json!({"lat": 10.8, "lon": 106.6}))).is_ok());
        assert!(check_data(MessageKind::Location, Some(&json!({"lat": 91, "lon": 0}))).is_err());
        assert!(check_data(MessageKind::Sticker, Some(&json!({"pack": "a", "id": "b", "c": 1}))).is_err());
        assert!(check_data(MessageKind::Sticker, Some(&json!(["a", "b"]))).is_err());
        assert!(check_data(MessageKind::Sticker, None).is_err());
        assert!(check_data(MessageKind::Text, Some(&json!({}))).is_err());
    }
}
