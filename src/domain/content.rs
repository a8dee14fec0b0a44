//! What a message may hold: text that cannot be built invalid, its kind, and typed data.

use super::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Text alone.
    Text,
    /// One or more images.
    Image,
    /// One or more videos.
    Video,
    /// One or more sounds.
    Audio,
    /// One or more other files.
    File,
    /// Attachments of several kinds, or with text.
    Mixed,
    /// `data: {pack, id}`
    Sticker,
    /// `data: {lat, lon, label?}`
    Location,
    /// `data: {name, phone?, email?, user_id?}`
    Contact,
    /// From the server; `data` says what happened.
    System,
}

impl MessageKind {
    /// As stored.
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

    /// From the stored form.
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

/// Trims a message's text and checks it: no NUL, at most 10,000 Unicode scalar values. Text of which nothing would be seen
/// is empty. It may be that here; whether it must not be depends on what else the message holds.
pub fn content(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("must not contain NUL");
    }
    if text.len() > limits::CONTENT_CHARS && text.chars().count() > limits::CONTENT_CHARS {
        return Err("must have at most 10000 characters");
    }
    Ok(if super::text::is_blank(text) { String::new() } else { text.to_owned() })
}

/// Checks a client's `temp_id`: 1–64 characters, none that controls.
pub fn temp_id(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().count() > limits::TEMP_ID_CHARS {
        return Err("must have 1 to 64 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(text.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sticker {
    pack: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    lat: f64,
    lon: f64,
    #[serde(default)]
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    name: String,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default, rename = "user_id")]
    _user_id: Option<uuid::Uuid>,
}

/// Checks that `data` is what a message of `kind` needs: at most 4 KiB, the named fields and no other, nothing empty,
/// coordinates on the globe. Kinds without data take none.
pub fn data(kind: MessageKind, data: Option<&Value>) -> Result<(), String> {
    let Some(data) = data else {
        return match kind {
            MessageKind::Sticker | MessageKind::Location | MessageKind::Contact => {
                Err(format!("is needed for a message of type {}", kind.as_str()))
            }
            _ => Ok(()),
        };
    };
    let text = data.to_string();
    if text.len() > limits::DATA_BYTES {
        return Err("must have at most 4096 bytes".into());
    }
    match kind {
        MessageKind::Sticker => {
            let sticker: Sticker = read(data)?;
            filled(&[Some(&sticker.pack), Some(&sticker.id)])
        }
        MessageKind::Location => {
            let location: Location = read(data)?;
            if !(-90.0..=90.0).contains(&location.lat) || !(-180.0..=180.0).contains(&location.lon) {
                return Err("must be a place on the globe".into());
            }
            filled(&[location.label.as_ref()])
        }
        MessageKind::Contact => {
            let contact: Contact = read(data)?;
            filled(&[Some(&contact.name), contact.phone.as_ref(), contact.email.as_ref()])
        }
        _ => Err(format!("belongs to a sticker, location or contact, not to {}", kind.as_str())),
    }
}

fn read<T: for<'de> Deserialize<'de>>(data: &Value) -> Result<T, String> {
    if !data.is_object() {
        return Err("must be an object".into());
    }
    T::deserialize(data).map_err(|error| error.to_string())
}

fn filled(fields: &[Option<&String>]) -> Result<(), String> {
    if fields.iter().flatten().any(|field| field.trim().is_empty()) {
        return Err("must not hold an empty field".into());
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
        assert_eq!(content("  hi \n").as_deref(), Ok("hi"));
        assert!(content(&"é".repeat(limits::CONTENT_CHARS)).is_ok());
        assert!(content(&"é".repeat(limits::CONTENT_CHARS + 1)).is_err());
        assert!(content("a\0b").is_err());
    }

    #[test]
    fn data_has_the_fields_of_its_kind_and_no_other() {
        assert!(data(MessageKind::Location, Some(&json!({"lat": 10.8, "lon": 106.6}))).is_ok());
        assert!(data(MessageKind::Location, Some(&json!({"lat": 91, "lon": 0}))).is_err());
        assert!(data(MessageKind::Sticker, Some(&json!({"pack": "a", "id": "b", "c": 1}))).is_err());
        assert!(data(MessageKind::Sticker, Some(&json!(["a", "b"]))).is_err());
        assert!(data(MessageKind::Sticker, None).is_err());
        assert!(data(MessageKind::Text, Some(&json!({}))).is_err());
    }
}
