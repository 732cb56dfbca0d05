//! The secret of one run: without it no route with data answers.
//!
//! It travels in a header that only our own page sets. No cookie: cookies go out by
//! themselves, to every port of this machine. Making the bytes is the program's.

use std::fmt;

/// Bytes in a token: 256 bits cannot be guessed.
pub const TOKEN_BYTES: usize = 32;

/// A token. `Debug` prints `[redacted]`; [`SessionToken::to_hex`] is for the link.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken([u8; TOKEN_BYTES]);

impl SessionToken {
    /// A token of random bytes that the caller drew from the system.
    pub const fn new(random: [u8; TOKEN_BYTES]) -> Self {
        Self(random)
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Whether the value of an `Authorization` header is `Bearer` and this token. The
    /// time taken does not tell how much of it was right.
    pub fn is_in(&self, authorization: &[u8]) -> bool {
        let wanted = format!("Bearer {}", self.to_hex());
        let wanted = wanted.as_bytes();
        let same_length = wanted.len() == authorization.len();
        let mixed = wanted
            .iter()
            .zip(authorization)
            .fold(0, |mixed, (a, b)| mixed | (a ^ b));
        same_length && std::hint::black_box(mixed) == 0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let mut bytes = [0xab; TOKEN_BYTES];
        bytes[31] = 0x01;
        let token = SessionToken::new(bytes);
        let header = format!("Bearer {}", token.to_hex());
        assert!(header.ends_with("ab01"));
        assert!(token.is_in(header.as_bytes()));
        let mut last_wrong = header.clone().into_bytes();
        last_wrong[70] = b'2';
        let wrong: [&[u8]; 6] = [
            b"",
            b"Bearer ",
            &last_wrong,
            &header.as_bytes()[..70],
            &header.as_bytes()[7..],
            &[header.as_bytes(), b" "].concat(),
        ];
        for wrong in wrong {
            assert!(!token.is_in(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "SessionToken([redacted])");
    }
}
