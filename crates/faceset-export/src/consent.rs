//! Who may be exported: a person's consent, and their age on the photo.
//!
//! Ages come from a birth date and a capture date, never from a model. Where
//! either is missing nothing is claimed, with one exception: see
//! [`AgeRule::judge`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ExportError;

/// Faces of people younger than this on the photo are never exported.
pub const MIN_AGE_YEARS: i32 = 18;

/// Whether the person agreed to a swap set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The person agreed.
    Granted,
    /// The person refused: no set is made.
    Denied,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// What is known about the person of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PersonFacts {
    /// Consent.
    pub consent: Consent,
    /// Birth date.
    pub birth: Option<CivilDate>,
}

/// A day of the Gregorian calendar, written `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CivilDate {
    year: u16,
    month: u8,
    day: u8,
}

impl CivilDate {
    /// Full years from this birth date to `on`; negative before birth. A person
    /// born on 29 February turns a year older on 1 March of common years.
    pub fn age_on(self, on: Self) -> i32 {
        let years = i32::from(on.year) - i32::from(self.year);
        if (on.month, on.day) < (self.month, self.day) {
            years - 1
        } else {
            years
        }
    }

    /// The day of a capture time `YYYY-MM-DDTHH:MM:SS`; `None` when it is empty
    /// or no date.
    pub fn of_capture_time(taken: &str) -> Option<Self> {
        taken.get(..10)?.parse().ok()
    }
}

impl FromStr for CivilDate {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let bad = || ExportError::Date {
            value: text.chars().take(40).collect(),
        };
        let b = text.as_bytes();
        let shaped = b.len() == 10
            && b.iter().enumerate().all(|(i, c)| match i {
                4 | 7 => *c == b'-',
                _ => c.is_ascii_digit(),
            });
        if !shaped {
            return Err(bad());
        }
        let number = |range: std::ops::Range<usize>| text[range].parse::<u16>().map_err(|_| bad());
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return Err(bad()),
        };
        if year == 0 || !(1..=days).contains(&day) {
            return Err(bad());
        }
        Ok(Self {
            year,
            month: month as u8,
            day: day as u8,
        })
    }
}

impl fmt::Display for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl TryFrom<String> for CivilDate {
    type Error = ExportError;

    fn try_from(text: String) -> Result<Self, ExportError> {
        text.parse()
    }
}

impl From<CivilDate> for String {
    fn from(date: CivilDate) -> Self {
        date.to_string()
    }
}

/// What the dates say about one face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Nothing speaks against export.
    Allowed,
    /// Younger than [`MIN_AGE_YEARS`]: the age in years.
    TooYoung(i32),
    /// No capture date, and nothing in the library is young enough a photo to
    /// show the person as an adult: the age on the newest photo.
    NeverAdult(i32),
}

/// Judges the faces of one person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgeRule {
    pub(crate) birth: Option<CivilDate>,
    /// The newest capture date of the whole library.
    pub(crate) newest: Option<CivilDate>,
}

impl AgeRule {
    /// A dated face is judged by its date. An undated one is allowed, unless
    /// the person was under age on the newest dated photo of the library: then
    /// no photo can be expected to show them older.
    pub(crate) fn judge(&self, taken: &str) -> Age {
        let Some(birth) = self.birth else {
            return Age::Allowed;
        };
        let too_young = |on| Some(birth.age_on(on)).filter(|age| *age < MIN_AGE_YEARS);
        match CivilDate::of_capture_time(taken) {
            Some(day) => too_young(day).map_or(Age::Allowed, Age::TooYoung),
            None => self
                .newest
                .and_then(too_young)
                .map_or(Age::Allowed, Age::NeverAdult),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CivilDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_eighteenth_birthday_itself_is_allowed_and_the_day_before_is_not() {
        let rule = AgeRule {
            birth: Some(day("2000-05-17")),
            newest: None,
        };
        assert_eq!(rule.judge("2018-05-17T00:00:00"), Age::Allowed);
        assert_eq!(rule.judge("2018-05-16T23:59:59"), Age::TooYoung(17));
        assert_eq!(rule.judge("1999-01-01T00:00:00"), Age::TooYoung(-2));
    }

    #[test]
    fn a_leap_day_child_is_older_on_the_first_of_march() {
        let birth = day("2004-02-29");
        assert_eq!(birth.age_on(day("2022-02-28")), 17);
        assert_eq!(birth.age_on(day("2022-03-01")), 18);
        assert_eq!(birth.age_on(day("2024-02-29")), 20);
    }

    #[test]
    fn undated_faces_are_refused_when_no_photo_can_show_an_adult() {
        let rule = |newest: &str| AgeRule {
            birth: Some(day("2010-01-02")),
            newest: Some(day(newest)),
        };
        assert_eq!(rule("2028-01-01").judge(""), Age::NeverAdult(17));
        assert_eq!(rule("2028-01-02").judge(""), Age::Allowed);
        assert_eq!(
            rule("2028-01-02").judge("0000-00-00T00:00:00"),
            Age::Allowed
        );
    }

    #[test]
    fn without_a_birth_date_nothing_is_claimed() {
        let rule = AgeRule {
            birth: None,
            newest: Some(day("2001-01-01")),
        };
        assert_eq!(rule.judge("2001-01-01T00:00:00"), Age::Allowed);
    }

    #[test]
    fn only_real_dates_are_dates() {
        for bad in [
            "2001-02-29",
            "2000-13-01",
            "2000-00-01",
            "2000-01-00",
            "0000-01-01",
            "2000-1-1",
            "20000101",
            "",
            "2000-01-01T",
            "２０００-01-01",
            "+200-01-01",
            "2000-04-31",
        ] {
            assert!(bad.parse::<CivilDate>().is_err(), "{bad}");
        }
        assert_eq!(day("2000-02-29").to_string(), "2000-02-29");
        assert!("1900-02-29".parse::<CivilDate>().is_err());
    }
}
