//! Reads the clock, and defines the format of times on the wire. No other module reads the clock of the system.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// A time in milliseconds since 1970. Both databases store, compare and sort this number. On the wire it is RFC 3339 in
/// UTC with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(pub i64);

/// The form of a time on the wire, with zeros for all digits.
const FORM: [u8; 24] = *b"0000-00-00T00:00:00.000Z";

impl Timestamp {
    /// The greatest time that the wire format can show. It means that something has no end.
    pub const FAR_FUTURE: Self = Self(253_402_300_799_999);

    /// Reads the clock of the system.
    #[allow(clippy::disallowed_methods, reason = "the one function that reads the clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as i64)
    }

    /// Returns the time that is later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis() as i64))
    }

    /// Returns the time that is earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_millis() as i64))
    }

    /// Returns the time between `earlier` and this time; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// Returns the text of the wire. `None` before the year 0 and after the year 9999. It writes the digits itself: a page
    /// has a hundred times, and a general formatter takes longer for them than the rest of the page.
    fn to_text(self) -> Option<[u8; 24]> {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()?;
        let year = u32::try_from(moment.year()).ok().filter(|year| *year <= 9999)?;
        let fields = [
            (0..4, year),
            (5..7, u8::from(moment.month()).into()),
            (8..10, moment.day().into()),
            (11..13, moment.hour().into()),
            (14..16, moment.minute().into()),
            (17..19, moment.second().into()),
            (20..23, moment.millisecond().into()),
        ];
        let mut text = FORM;
        for (range, mut number) in fields {
            for digit in text[range].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        Some(text)
    }

    /// Returns whole seconds since 1970, the unit of JWT claims.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text().ok_or(fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_text().ok_or_else(|| serde::ser::Error::custom("a time outside of the years 0 to 9999"))?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339)
            .map_err(|_| serde::de::Error::custom("must be an RFC 3339 time"))?;
        Ok(Self((moment.unix_timestamp_nanos() / 1_000_000) as i64))
    }
}

impl From<Timestamp> for sea_orm::Value {
    fn from(moment: Timestamp) -> Self {
        moment.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_shows_its_milliseconds_even_when_they_are_zero() {
        assert_eq!(Timestamp(1_700_000_000_000).to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(Timestamp(1_700_000_000_007).to_string(), "2023-11-14T22:13:20.007Z");
        assert_eq!(Timestamp::FAR_FUTURE.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_has_the_date_of_the_calendar() {
        let format =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        // One day of each week from the year 0 to the year 9999, each at another time.
        let day_ms: i64 = 86_400_000;
        for day in (-719_528..2_932_897_i64).step_by(7) {
            let moment = Timestamp(day * day_ms + (day * 7_654_321).rem_euclid(day_ms));
            let expected = OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000_000);
            let expected = expected.expect("a year up to 9999").format(format).expect("a date");
            assert_eq!(moment.to_string(), expected, "{}", moment.0);
        }
        assert_eq!(Timestamp(-719_528 * day_ms - 1).to_text(), None);
        assert_eq!(Timestamp(Timestamp::FAR_FUTURE.0 + 1).to_text(), None);
    }

    #[test]
    fn a_time_is_read_in_any_zone() {
        let read: Timestamp = serde_json::from_str("\"2023-11-15T05:13:20.5+07:00\"").expect("an RFC 3339 time");
        assert_eq!(read, Timestamp(1_700_000_000_500));
    }
}
