//! Counts of capture years, and the words made of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// How many faces were taken in which year. Undated faces are counted, and
/// count for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct YearCounts {
    /// Faces by year.
    pub by_year: BTreeMap<i32, usize>,
    /// Faces without a believable date.
    pub undated: usize,
}

impl FromIterator<Option<i32>> for YearCounts {
    fn from_iter<I: IntoIterator<Item = Option<i32>>>(years: I) -> Self {
        let mut counts = Self::default();
        for year in years {
            match year {
                Some(year) => *counts.by_year.entry(year).or_default() += 1,
                None => counts.undated += 1,
            }
        }
        counts
    }
}

impl YearCounts {
    /// Faces with a date.
    pub fn n_dated(&self) -> usize {
        self.by_year.values().sum()
    }

    /// All faces.
    pub fn n(&self) -> usize {
        self.n_dated() + self.undated
    }

    /// The year of most faces; of equal ones the nearest to the median, then
    /// the earlier. `None` without a date.
    pub fn dominant(&self) -> Option<i32> {
        let median = self.median()?;
        self.by_year
            .iter()
            .min_by_key(|(year, n)| (std::cmp::Reverse(**n), (**year - median).abs(), **year))
            .map(|(year, _)| *year)
    }

    /// The middle year, the lower of two. `None` without a date.
    pub fn median(&self) -> Option<i32> {
        self.ranked(self.n_dated().checked_sub(1)? / 2)
    }

    /// The year of the dated face at this position, by year.
    fn ranked(&self, mut position: usize) -> Option<i32> {
        for (year, n) in &self.by_year {
            if position < *n {
                return Some(*year);
            }
            position -= n;
        }
        None
    }

    /// First and last year after a tenth of the dated faces (rounded down) was
    /// left out at either end: a camera with a wrong clock is on every photo
    /// collection. `None` without a date.
    pub fn span(&self) -> Option<(i32, i32)> {
        let n = self.n_dated();
        let cut = n / 10;
        Some((self.ranked(cut)?, self.ranked(n - 1 - cut)?))
    }

    /// `2018`, `2018-20`, `1998-2003` or `undated`: readable, not unique (two
    /// eras of one person may overlap), never to be parsed.
    pub fn label(&self) -> String {
        match self.span() {
            None => "undated".to_owned(),
            Some((from, to)) if from == to => from.to_string(),
            Some((from, to)) if from / 100 == to / 100 => format!("{from}-{:02}", to % 100),
            Some((from, to)) => format!("{from}-{to}"),
        }
    }
}

/// Makes labels unique: the second one of a kind gets `_b`, the third `_c`,
/// after `_z` comes `_27`. Labels in `taken` are in use already; case does not
/// tell labels apart, since some file systems fold it.
pub fn unique_labels(labels: &[String], taken: &BTreeSet<String>) -> Vec<String> {
    let mut used: BTreeSet<String> = taken.iter().map(|l| l.to_lowercase()).collect();
    labels
        .iter()
        .map(|label| {
            let mut free = label.clone();
            let mut n = 1_u32;
            while !used.insert(free.to_lowercase()) {
                n += 1;
                free = match u8::try_from(n) {
                    Ok(n) if n <= 26 => format!("{label}_{}", char::from(b'a' + n - 1)),
                    _ => format!("{label}_{n}"),
                };
            }
            free
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(years: &[i32]) -> YearCounts {
        years.iter().map(|y| Some(*y)).collect()
    }

    #[test]
    fn the_dominant_year_is_the_most_frequent_then_the_nearest_to_the_middle() {
        assert_eq!(counts(&[2001, 2005, 2005, 2019]).dominant(), Some(2005));
        // 2001 and 2019 twice each, the median is 2001 (lower middle).
        assert_eq!(counts(&[2001, 2001, 2019, 2019]).dominant(), Some(2001));
        // Median 2018: 2018 and 2020 are single, 2018 is nearer.
        assert_eq!(counts(&[2010, 2018, 2020]).dominant(), Some(2018));
        assert_eq!(YearCounts::from_iter([None, None]).dominant(), None);
    }

    #[test]
    fn undated_faces_are_counted_and_decide_nothing() {
        let mixed: YearCounts = [None, Some(2011), None, None].into_iter().collect();
        assert_eq!((mixed.n(), mixed.n_dated(), mixed.undated), (4, 1, 3));
        assert_eq!(mixed.median(), Some(2011));
    }

    #[test]
    fn a_tenth_at_either_end_does_not_shape_the_label() {
        let mut nine = vec![2018; 8];
        nine.push(1999);
        assert_eq!(counts(&nine).label(), "1999-2018", "a ninth is not a tenth");
        nine.push(2018);
        assert_eq!(counts(&nine).label(), "2018");
    }

    #[test]
    fn labels_are_short_inside_a_century() {
        assert_eq!(counts(&[2018, 2019]).label(), "2018-19");
        assert_eq!(counts(&[2001, 2009]).label(), "2001-09");
        assert_eq!(counts(&[1998, 2003]).label(), "1998-2003");
        assert_eq!(YearCounts::default().label(), "undated");
    }

    #[test]
    fn equal_labels_get_letters_and_then_numbers() {
        let taken = BTreeSet::from(["2018".to_owned()]);
        let same = vec!["2018".to_owned(); 27];
        let free = unique_labels(&same, &taken);
        assert_eq!(
            (&*free[0], &*free[1], &*free[24]),
            ("2018_b", "2018_c", "2018_z")
        );
        assert_eq!((&*free[25], &*free[26]), ("2018_27", "2018_28"));
    }
}
