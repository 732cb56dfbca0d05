//! The API key: held so that it cannot be printed, and removed from any text
//! that a server may echo.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// What stands in a text where the key stood.
const REDACTED: &str = "[redacted]";

/// An Immich API key. `Debug` and `Display` print `[redacted]`.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Takes the key as the user gave it; white space around it is dropped.
    ///
    /// # Errors
    /// [`Error::Key`] when nothing is left or a character cannot stand in an
    /// HTTP header (anything but visible ASCII). The error never holds the key.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Key {
                what: "it is empty",
            });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Key {
                what: "it holds spaces or characters other than ASCII letters, digits and signs",
            });
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The value of the `x-api-key` header, marked sensitive for HTTP layers that log.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(self.0.expose_secret())
            .expect("`new` admits visible ASCII only, which is valid in a header");
        value.set_sensitive(true);
        value
    }

    /// `text` with every occurrence of the key replaced: servers and proxies
    /// sometimes echo request headers in their error pages.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), REDACTED)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({REDACTED})")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_never_printed_and_is_removed_from_echoes() {
        let key = ApiKey::new("  s3cr3t-KEY\n").unwrap();
        assert_eq!(format!("{key:?} {key}"), "ApiKey([redacted]) [redacted]");
        assert_eq!(format!("{:?}", key.header()), "Sensitive");
        assert_eq!(key.header(), "s3cr3t-KEY");
        assert_eq!(
            key.scrub("x-api-key: s3cr3t-KEY!"),
            "x-api-key: [redacted]!"
        );
    }

    #[test]
    fn unusable_keys_are_refused_without_showing_them() {
        for bad in ["", "  ", "a b", "schlüssel", "a\nb"] {
            let text = format!("{:?}", ApiKey::new(bad).unwrap_err());
            assert!(bad.trim().is_empty() || !text.contains(bad), "{text}");
        }
    }
}
