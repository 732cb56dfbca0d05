//! Addresses of photos as a page can link them.

use std::fmt::Write;

/// What an absolute path hangs on.
#[derive(Debug, PartialEq, Eq)]
enum Root<'a> {
    Unix,
    /// A drive letter, upper case.
    Drive(char),
    /// Server and share of a Windows network path.
    Share(&'a str, &'a str),
}

/// Address of the photo `target` for a page in the folder `base`, both absolute
/// paths of Unix or Windows.
///
/// Relative when both share at least their first folder (and drive or share), so
/// that results and photos may move together; else `file:`. Everything outside
/// `A–Z a–z 0–9 - . _ ~` is percent-encoded as UTF-8. `None` for a target that
/// is not absolute: there is nothing to link to.
pub(crate) fn photo_href(base: Option<&str>, target: &str) -> Option<String> {
    let (root, parts) = split(target)?;
    if let Some((base_root, base_parts)) = base.and_then(split)
        && base_root == root
    {
        let common = base_parts
            .iter()
            .zip(&parts)
            .take_while(|(a, b)| a == b)
            .count();
        if common > 0 && common < parts.len() {
            let mut href = "../".repeat(base_parts.len() - common);
            push_path(&mut href, &parts[common..]);
            return Some(href);
        }
    }
    let mut href = match root {
        Root::Unix => "file:///".to_owned(),
        Root::Drive(letter) => format!("file:///{letter}:/"),
        Root::Share(server, share) => {
            let mut start = "file://".to_owned();
            push_path(&mut start, &[server, share]);
            start + "/"
        }
    };
    push_path(&mut href, &parts);
    Some(href)
}

/// File name of a path of either system, for captions.
pub(crate) fn file_name(path: &str) -> &str {
    let name = match split(path) {
        Some((_, parts)) => parts.last().copied(),
        None => path.rsplit('/').find(|p| !p.is_empty()),
    };
    name.unwrap_or(path)
}

fn split(path: &str) -> Option<(Root<'_>, Vec<&str>)> {
    let bytes = path.as_bytes();
    let (root, rest, windows) = if let Some(rest) = path.strip_prefix(r"\\") {
        let mut parts = rest.splitn(3, ['\\', '/']);
        let (server, share) = (parts.next()?, parts.next()?);
        // `\\?\` and `\\.\` open devices, not shares.
        if server.is_empty() || share.is_empty() || ["?", "."].contains(&server) {
            return None;
        }
        (Root::Share(server, share), parts.next().unwrap_or(""), true)
    } else if bytes.len() >= 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        let letter = bytes[0].to_ascii_uppercase() as char;
        let rest = path[2..].strip_prefix(['/', '\\'])?;
        (Root::Drive(letter), rest, true)
    } else {
        (Root::Unix, path.strip_prefix('/')?, false)
    };
    let mut parts = Vec::new();
    for part in rest.split(|c| c == '/' || (windows && c == '\\')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then_some((root, parts))
}

fn push_path(href: &mut String, parts: &[&str]) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            href.push('/');
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                href.push(byte as char);
            } else {
                write!(href, "%{byte:02X}").expect("a string takes all");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_beside_the_report_are_linked_relatively() {
        let href = photo_href(Some("/home/u/out/report"), "/home/u/pics/a.jpg");
        assert_eq!(href.unwrap(), "../../pics/a.jpg");
        let below = photo_href(Some("/home/u"), "/home/u/a.jpg");
        assert_eq!(below.unwrap(), "a.jpg");
    }

    #[test]
    fn photos_elsewhere_are_linked_by_their_whole_address() {
        let href = photo_href(Some("/out/report"), "/mnt/a.jpg");
        assert_eq!(href.unwrap(), "file:///mnt/a.jpg");
        assert_eq!(photo_href(None, "/mnt/a.jpg").unwrap(), "file:///mnt/a.jpg");
    }

    #[test]
    fn odd_characters_are_percent_encoded() {
        let href = photo_href(Some("/p/out"), "/p/Été 1/a#b?c%d\"<&'\\.jpg").unwrap();
        assert_eq!(
            href,
            "../%C3%89t%C3%A9%201/a%23b%3Fc%25d%22%3C%26%27%5C.jpg"
        );
    }

    #[test]
    fn windows_paths_are_understood_on_every_system() {
        assert_eq!(
            photo_href(Some(r"c:\out\report"), r"C:\pics\a b.jpg").unwrap(),
            "file:///C:/pics/a%20b.jpg"
        );
        assert_eq!(
            photo_href(Some(r"C:\u\out\report"), r"c:\u\a.jpg").unwrap(),
            "../../a.jpg"
        );
        assert_eq!(
            photo_href(Some(r"D:\u\out"), r"C:\u\a.jpg").unwrap(),
            "file:///C:/u/a.jpg"
        );
        assert_eq!(
            photo_href(None, r"\\nas\my photos\2019\a.jpg").unwrap(),
            "file://nas/my%20photos/2019/a.jpg"
        );
    }

    #[test]
    fn what_is_no_absolute_path_is_not_linked() {
        for text in [
            "javascript:alert(1)",
            "a.jpg",
            "",
            "/",
            "C:a.jpg",
            "https://x/a.jpg",
            r"\\?\C:\a.jpg",
        ] {
            assert_eq!(photo_href(Some("/out"), text), None, "{text}");
        }
    }

    #[test]
    fn names_are_the_last_part_of_either_system() {
        assert_eq!(file_name("/a/b.jpg"), "b.jpg");
        assert_eq!(file_name(r"C:\a\b.jpg"), "b.jpg");
        assert_eq!(file_name(r"/a/b\c.jpg"), r"b\c.jpg");
        assert_eq!(file_name("asset/7"), "7");
        assert_eq!(file_name(""), "");
    }
}
