//! Who may be exported: a person's consent, and their age on the photo.
//!
//! Ages come from a birth date and a capture date, never from a model. Where
//! either is missing nothing is claimed, with one exception: see
//! [`AgeRule::judge`].

pub use faceset_core::consent::{CivilDate, Consent, PersonFacts};

/// Faces of people younger than this on the photo are never exported.
pub const MIN_AGE_YEARS: i32 = 18;

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
}
