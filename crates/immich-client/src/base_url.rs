//! The server's address: what users paste, and what we call.

use std::fmt;

use url::Url;

use crate::{AssetId, Error};

/// The address of an Immich server, with the API below `<address>/api`.
///
/// Accepted with or without a trailing slash, with or without `/api`, and with
/// a path in front for servers behind a proxy:
/// `http://nas:2283`, `https://example.org/immich/api/`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Ends neither in a slash nor in `/api`, except for the lone root slash.
    web: Url,
}

impl BaseUrl {
    /// Reads an address as a user writes it.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` or `https://` URL with a host, or
    /// when it holds a user name, a password, a query or a fragment: these would
    /// end in logs, and none belongs into an Immich address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let refuse = |what| Error::Address {
            url: without_secrets(text),
            what,
        };
        let form = "expected http://HOST:PORT or https://HOST";
        let mut web = Url::parse(text).map_err(|_| refuse(form))?;
        if !matches!(web.scheme(), "http" | "https") || web.host_str().is_none() {
            return Err(refuse(form));
        }
        if !web.username().is_empty() || web.password().is_some() {
            return Err(refuse("leave out the user name and password"));
        }
        if web.query().is_some() || web.fragment().is_some() {
            return Err(refuse("leave out everything from ? or # on"));
        }
        let mut path = web.path().trim_end_matches('/');
        if let Some(rest) = path.strip_suffix("/api") {
            path = rest.trim_end_matches('/');
        }
        let path = path.to_owned();
        web.set_path(&path);
        Ok(Self { web })
    }

    /// The URL of an API route given by its path segments.
    pub(crate) fn route<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.web.clone();
        url.path_segments_mut()
            .expect("`parse` admits http and https only, which have paths")
            .pop_if_empty()
            .push("api")
            .extend(segments);
        url
    }

    /// The page of one photo in the Immich web interface, for a browser.
    pub fn photo_page(&self, asset: &AssetId) -> String {
        let mut url = self.web.clone();
        url.path_segments_mut()
            .expect("`parse` admits http and https only, which have paths")
            .pop_if_empty()
            .extend(["photos", asset.as_str()]);
        url.into()
    }

    /// True for `https://`.
    pub fn is_https(&self) -> bool {
        self.web.scheme() == "https"
    }

    /// True when `url` has our scheme, host and port, so that it may see the key.
    pub(crate) fn same_origin(&self, url: &Url) -> bool {
        self.web.origin() == url.origin()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.web.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

/// `text` for an error message: without user info, query and fragment.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://{}", &text[..scheme], &text[at + 1..])
        }
        (None, Some(at)) => text[at + 1..].to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(text: &str) -> String {
        let base = BaseUrl::parse(text).unwrap();
        base.route(["server", "ping"]).to_string()
    }

    #[test]
    fn slashes_and_api_suffix_do_not_matter() {
        for text in [
            "http://nas:2283",
            "http://nas:2283/",
            " http://nas:2283//",
            "http://nas:2283/api",
            "http://nas:2283/api/",
            "http://nas:2283//api//",
        ] {
            assert_eq!(ping(text), "http://nas:2283/api/server/ping", "{text}");
        }
    }

    #[test]
    fn paths_in_front_are_kept() {
        assert_eq!(
            ping("https://example.org/photos/immich/api/"),
            "https://example.org/photos/immich/api/server/ping"
        );
        // Only a whole segment is the API's.
        assert_eq!(
            ping("https://example.org/myapi"),
            "https://example.org/myapi/api/server/ping"
        );
    }

    #[test]
    fn display_and_photo_page_are_for_people() {
        let base = BaseUrl::parse("https://example.org/immich/api").unwrap();
        assert_eq!(base.to_string(), "https://example.org/immich");
        let asset: AssetId = "a-1".parse().unwrap();
        assert_eq!(
            base.photo_page(&asset),
            "https://example.org/immich/photos/a-1"
        );
        assert_eq!(
            BaseUrl::parse("http://h").unwrap().photo_page(&asset),
            "http://h/photos/a-1"
        );
    }

    #[test]
    fn segments_cannot_leave_the_api() {
        let base = BaseUrl::parse("http://h").unwrap();
        assert_eq!(
            base.route(["people", "../x?y"]).as_str(),
            "http://h/api/people/..%2Fx%3Fy"
        );
    }

    #[test]
    fn refused_addresses_do_not_show_what_is_secret_in_them() {
        for text in [
            "nas:2283",
            "",
            "ftp://nas",
            "http://anna:hunter2@nas",
            "http://nas?apiKey=hunter2",
            "http://nas#hunter2",
            "anna:hunter2@nas",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
