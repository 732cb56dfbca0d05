//! What is known of a person that decides on an export: consent and birth date.
//!
//! Values and calendar arithmetic only. Who is too young for what is decided by
//! the step that asks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ValueError;

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
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || ValueError::Date {
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
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<CivilDate> for String {
    fn from(date: CivilDate) -> Self {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CivilDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_leap_day_child_is_older_on_the_first_of_march() {
        let birth = day("2004-02-29");
        assert_eq!(birth.age_on(day("2022-02-28")), 17);
        assert_eq!(birth.age_on(day("2022-03-01")), 18);
        assert_eq!(birth.age_on(day("2024-02-29")), 20);
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
