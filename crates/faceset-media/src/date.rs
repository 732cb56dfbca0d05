//! Capture times as cameras write them.

/// Earliest year that is believed: consumer digital cameras begin there, and
/// clocks that were reset say 1970 or 1980. The user's choice (mission row U34).
pub const MIN_CAPTURE_YEAR: i32 = 1990;

/// A date and time of the calendar, without zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Stamp {
    /// `YYYY-MM-DDTHH:MM:SS`.
    pub(crate) fn iso(&self) -> String {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }
}

/// Reads `YYYY:MM:DD HH:MM:SS` and the variants seen in the wild: `-`, `/` or
/// `.` between date parts, `T` before the time, no seconds, no time at all,
/// fractions and zones after it (ignored).
///
/// `None` when it is not a date of the calendar: placeholders of zeros or
/// blanks, month 13, day 0, 30 February, hour 24.
pub(crate) fn parse(text: &str) -> Option<Stamp> {
    let text = text.trim_matches([' ', '\0']);
    let date = text.get(..10)?;
    let [year, month, day] = numbers(date, &[':', '-', '/', '.'], &[4, 2, 2])?;
    let rest = text[10..].trim_start_matches([' ', 'T']);
    let [hour, minute, second] = if rest.is_empty() {
        [0, 0, 0]
    } else if let Some(full) = rest.get(..8).and_then(|t| numbers(t, &[':'], &[2, 2, 2])) {
        full
    } else {
        let [hour, minute] = numbers(rest.get(..5)?, &[':'], &[2, 2])?;
        [hour, minute, 0]
    };
    let year = i32::try_from(year).ok()?;
    let ok = year > 0
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    ok.then_some(Stamp {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

/// Splits at `separators` into exactly N digit groups of the given widths.
fn numbers<const N: usize>(
    text: &str,
    separators: &[char],
    widths: &[usize; N],
) -> Option<[u32; N]> {
    let mut parts = text.split(separators);
    let mut values = [0; N];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != *width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}

fn days_in(year: i32, month: u32) -> u32 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> Option<String> {
        parse(text).map(|s| s.iso())
    }

    #[test]
    fn the_exif_form_and_its_variants_are_read() {
        for (text, expected) in [
            ("2019:03:07 21:04:59", "2019-03-07T21:04:59"),
            ("2016:12:03 11:17:43 ", "2016-12-03T11:17:43"),
            ("2019-10-17T16:55:20-07:0", "2019-10-17T16:55:20"),
            ("2008/05/25 19:31", "2008-05-25T19:31:00"),
            ("2008.05.25", "2008-05-25T00:00:00"),
            ("2020:02:29 00:00:00.123\0", "2020-02-29T00:00:00"),
        ] {
            assert_eq!(iso(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_calendar_is_no_date() {
        for text in [
            "",
            "    :  :     :  :  ",
            "0000:00:00 00:00:00",
            "2001:12:00 00:00:00",
            "2019:13:01 00:00:00",
            "2019:02:29 00:00:00",
            "1900:02:29 00:00:00",
            "2019:06:31 00:00:00",
            "2019:03:07 24:00:00",
            "2019:03:07 21:60:00",
            "2019:03:07 21:04:60",
            "19:03:07 21:04:59",
            "2019:3:7 21:04:59",
            "2019:03:07 noon",
            "2019:03:0é 21:04:59",
        ] {
            assert_eq!(iso(text), None, "{text}");
        }
    }
}
