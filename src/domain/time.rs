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
/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// The days of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: i64 = 146_097;
/// The days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

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

    /// Returns the text of the wire. `None` before the year 0 and after the year 9999. It computes the date itself: a
    /// page has a hundred times, and a general formatter takes longer for them than the rest of the page.
    fn to_text(self) -> Option<[u8; 24]> {
        // Years begin in March here, so that the leap day is the last day of a year.
        let days = self.0.div_euclid(DAY_MS) + DAYS_BEFORE_1970;
        let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        // The months from March on have 31, 30, 31, 30, 31 days, again and again.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        if !(0..=9999).contains(&year) {
            return None;
        }
        let ms = self.0.rem_euclid(DAY_MS);
        let mut text = FORM;
        let fields = [
            (0..4, year),
            (5..7, month),
            (8..10, day_of_month),
            (11..13, ms / 3_600_000),
            (14..16, ms / 60_000 % 60),
            (17..19, ms / 1000 % 60),
            (20..23, ms % 1000),
        ];
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
        for day in (-719_528..2_932_897_i64).step_by(7) {
            let moment = Timestamp(day * DAY_MS + (day * 7_654_321).rem_euclid(DAY_MS));
            let expected = OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000_000);
            let expected = expected.expect("a year up to 9999").format(format).expect("a date");
            assert_eq!(moment.to_string(), expected, "{}", moment.0);
        }
        assert_eq!(Timestamp(-719_528 * DAY_MS - 1).to_text(), None);
        assert_eq!(Timestamp(Timestamp::FAR_FUTURE.0 + 1).to_text(), None);
    }

    #[test]
    fn a_time_is_read_in_any_zone() {
        let read: Timestamp = serde_json::from_str("\"2023-11-15T05:13:20.5+07:00\"").expect("an RFC 3339 time");
        assert_eq!(read, Timestamp(1_700_000_000_500));
    }
}
