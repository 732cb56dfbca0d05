//! Named ways from pixels to faces besides the plain one.
//!
//! Each changes which faces are found or the last digits of their embeddings,
//! so its name is part of the pipeline that a cache remembers: records made in
//! different ways are never mixed. What each costs and gives was measured
//! (docs/analysis/embed.md).

use std::fmt;
use std::str::FromStr;

use crate::InferError;

/// Edge of the second detector input in pixels: InsightFace 2's default pair is
/// 128 and 640. Faces that fill a photo are larger than what 640 was made for.
pub const SECOND_SIZE: u32 = 128;

/// What differs from the plain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variant {
    /// The detector sees the picture's own shape instead of a square with a
    /// black rest: fewer pixels, the same scale.
    pub rectangular: bool,
    /// The detector looks twice, at its own size and at [`SECOND_SIZE`], and
    /// the better of two overlapping boxes stays.
    pub two_sizes: bool,
}

impl Variant {
    /// True for the plain way.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// True when the detector is fed other sizes than the pack names.
    pub(crate) fn needs_any_size(self) -> bool {
        self.rectangular || self.two_sizes
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = [(self.rectangular, "rect"), (self.two_sizes, "two-sizes")]
            .into_iter()
            .filter_map(|(is_set, name)| is_set.then_some(name))
            .collect();
        f.write_str(if names.is_empty() { "plain" } else { "" })?;
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Variant {
    type Err = InferError;

    /// Takes `plain`, or names joined by `+` or `,` in any order.
    fn from_str(text: &str) -> Result<Self, InferError> {
        let mut variant = Self::default();
        for name in text.split(['+', ',']) {
            match name {
                "rect" => variant.rectangular = true,
                "two-sizes" => variant.two_sizes = true,
                "plain" if text == "plain" => {}
                _ => {
                    return Err(InferError::Variant {
                        variant: text.to_owned(),
                        reason: "expected plain, rect, two-sizes or rect+two-sizes".to_owned(),
                    });
                }
            }
        }
        Ok(variant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_in_one_order() {
        for text in ["plain", "rect", "two-sizes", "rect+two-sizes"] {
            assert_eq!(text.parse::<Variant>().unwrap().to_string(), text);
        }
        let swapped: Variant = "two-sizes,rect".parse().unwrap();
        assert_eq!(swapped.to_string(), "rect+two-sizes");
        assert!("plain".parse::<Variant>().unwrap().is_plain());
    }

    #[test]
    fn unknown_names_and_plain_with_others_are_refused() {
        for text in ["", "fast", "plain+rect", "rect+"] {
            assert!(text.parse::<Variant>().is_err(), "{text:?}");
        }
    }
}
