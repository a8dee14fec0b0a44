//! A field of a partial change.

use serde::{Deserialize, Deserializer};

/// A field of a partial change, in which absent and null are different.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change<T> {
    /// The field is absent, so its value does not change.
    #[default]
    Keep,
    /// The field is null, so its value is removed.
    Clear,
    Set(T),
}

impl<T> Change<T> {
    /// Returns the new value of a field that has the value `current` now. `None` is no value.
    pub fn applied_to(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::accounts::ProfileChange;

    #[test]
    fn absent_null_and_a_value_are_different() {
        let read: ProfileChange = serde_json::from_str(r#"{"avatar_url":null,"locale":"vi"}"#).unwrap();
        assert_eq!(read.email, Change::Keep);
        assert_eq!(read.avatar_url, Change::Clear);
        assert_eq!(read.locale, Change::Set("vi".to_owned()));
        assert!(serde_json::from_str::<ProfileChange>(r#"{"role":"admin"}"#).is_err());
    }
}
