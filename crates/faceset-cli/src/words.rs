//! Words that every program forms the same way.

/// `1 face`, `2 faces`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(
            [0, 1, 2].map(|n| count(n, "face", "faces")),
            ["0 faces", "1 face", "2 faces"]
        );
    }
}
