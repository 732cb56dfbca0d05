//! Under which names this server answers. A name that is not on the list is refused,
//! so that a site cannot point its own name at this machine (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

/// The authorities (`host:port`) that requests may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

/// Schemes under which the page may have been loaded: `https` behind a proxy of the
/// user's own, who then names it.
const SCHEMES: [&str; 2] = ["http://", "https://"];

impl Names {
    /// The names of a server that listens on `address`: the address itself, the
    /// loopback names when it listens there, and what the user added, with or without a
    /// port. An address for all interfaces has no name of its own.
    pub fn new(address: SocketAddr, extra: &[String]) -> Self {
        let port = address.port();
        let mut names = Vec::new();
        if !address.ip().is_unspecified() {
            names.push(address.to_string());
        }
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            names.push(format!("localhost:{port}"));
            let number = match address.ip() {
                IpAddr::V4(_) => format!("127.0.0.1:{port}"),
                IpAddr::V6(_) => format!("[::1]:{port}"),
            };
            if !names.contains(&number) {
                names.push(number);
            }
        }
        for name in extra {
            let name = name.trim().to_ascii_lowercase();
            let has_port = name
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !has_port {
                names.push(format!("{name}:{port}"));
            }
            names.push(name);
        }
        Self(names)
    }

    /// The first name, for the link.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// Whether a `Host` header is one of ours.
    pub fn has_host(&self, host: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether an `Origin` header is a page of ours.
    pub fn has_origin(&self, origin: &str) -> bool {
        SCHEMES.iter().any(|scheme| {
            origin
                .strip_prefix(scheme)
                .is_some_and(|host| self.has_host(host))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_to_its_own_names_and_port_only() {
        let names = Names::new("127.0.0.1:2300".parse().unwrap(), &[]);
        assert_eq!(names.first(), Some("127.0.0.1:2300"));
        assert!(names.has_host("localhost:2300") && names.has_host("LOCALHOST:2300"));
        for foreign in [
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "evil.example:2300",
            "127.0.0.1.evil.example:2300",
            "",
        ] {
            assert!(!names.has_host(foreign), "{foreign}");
        }
        assert!(names.has_origin("http://127.0.0.1:2300"));
        for foreign in [
            "null",
            "http://127.0.0.1:2301",
            "http://evil.example",
            "http://evil.example/http://127.0.0.1:2300",
            "file://127.0.0.1:2300",
            "127.0.0.1:2300",
        ] {
            assert!(!names.has_origin(foreign), "{foreign}");
        }
    }

    #[test]
    fn all_interfaces_answer_to_loopback_and_what_the_user_named() {
        let extra = ["Nas".to_owned(), "fix.example:443".to_owned()];
        let names = Names::new("0.0.0.0:2300".parse().unwrap(), &extra);
        assert!(names.has_host("nas:2300") && names.has_host("nas"));
        assert!(names.has_host("fix.example:443") && !names.has_host("fix.example:2300"));
        assert!(names.has_host("127.0.0.1:2300") && !names.has_host("0.0.0.0:2300"));
        assert!(names.has_origin("https://nas"));
    }

    #[test]
    fn ipv6_loopback_has_its_brackets() {
        let names = Names::new("[::1]:9".parse().unwrap(), &[]);
        assert_eq!(names.first(), Some("[::1]:9"));
        assert!(names.has_host("[::1]:9") && names.has_host("localhost:9"));
    }
}
