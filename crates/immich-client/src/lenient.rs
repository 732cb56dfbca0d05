//! Reading fields that may be missing, null or of another type in another
//! version: whatever cannot be read is as if it were absent.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Entries of an array that could be read, and how many could not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows<T> {
    pub(crate) items: Vec<T>,
    pub(crate) unreadable: usize,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            unreadable: 0,
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw: Vec<Box<RawValue>> = Vec::deserialize(source)?;
        let n_raw = raw.len();
        let items: Vec<T> = raw
            .iter()
            .filter_map(|row| serde_json::from_str(row.get()).ok())
            .collect();
        Ok(Self {
            unreadable: n_raw - items.len(),
            items,
        })
    }
}

/// `None` for null and for anything that is no `T`.
pub(crate) fn opt<'de, D, T>(source: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(source)?).ok())
}

/// The type's default for null and for anything that is no `T`.
pub(crate) fn or_default<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(opt(source)?.unwrap_or_default())
}

/// RFC 3339 with any zone and any number of decimals.
pub(crate) fn time<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = opt(source)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// A size in pixels: a whole or broken number, or one in a text.
pub(crate) fn pixels<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    let number = number(&Value::deserialize(source)?);
    Ok(number
        .filter(|n| (0.0..=f64::from(u32::MAX)).contains(n))
        .map(|n| n.round() as u32))
}

/// A coordinate in pixels, 0 when it cannot be read.
pub(crate) fn coordinate<'de, D: Deserializer<'de>>(source: D) -> Result<i32, D::Error> {
    // A float-to-int cast saturates, so no value can wrap.
    Ok(number(&Value::deserialize(source)?).map_or(0, |n| n.round() as i32))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        id: String,
        #[serde(default, deserialize_with = "pixels")]
        width: Option<u32>,
        #[serde(default, deserialize_with = "time")]
        at: Option<Timestamp>,
    }

    fn rows(text: &str) -> Rows<Row> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn unreadable_rows_are_counted_and_the_others_kept() {
        let rows = rows(r#"[{"id":"a"},{"id":1},7,{"id":"b","extra":{}}]"#);
        assert_eq!(rows.items.len(), 2);
        assert_eq!(rows.unreadable, 2);
    }

    #[test]
    fn numbers_may_be_broken_texts_null_or_nonsense() {
        let width =
            |value: &str| rows(&format!(r#"[{{"id":"a","width":{value}}}]"#)).items[0].width;
        assert_eq!(width("3000"), Some(3000));
        assert_eq!(width("2999.6"), Some(3000));
        assert_eq!(width("\"12\""), Some(12));
        for bad in ["null", "-1", "\"wide\"", "[]", "1e300"] {
            assert_eq!(width(bad), None, "{bad}");
        }
    }

    #[test]
    fn both_date_forms_are_the_same_instant() {
        let at = |text: &str| rows(&format!(r#"[{{"id":"a","at":"{text}"}}]"#)).items[0].at;
        let z = at("2020-01-01T12:00:00.250Z").unwrap();
        assert_eq!(at("2020-01-01T12:00:00.250000+00:00"), Some(z));
        assert_eq!(at("2020-01-01T14:00:00.25+02:00"), Some(z));
        assert_eq!(at("yesterday"), None);
    }
}
