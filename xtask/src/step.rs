//! One thing that set-up brings: a file with a known digest.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::digest;

/// State of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// There, and what it should be.
    Ready,
    /// Not there, or not what it should be; says which.
    Missing(String),
}

/// A file below the set-up's folder, and the member of a package it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Path of the file in its package.
    pub(crate) member: String,
    /// Where it goes.
    pub(crate) path: PathBuf,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// Ready when every file is there with its digest.
pub(crate) fn state(files: &[Wanted]) -> anyhow::Result<State> {
    for file in files {
        match digest::of_file(&file.path)? {
            Some(found) if found == file.sha256 => {}
            Some(_) => {
                return Ok(State::Missing(format!(
                    "{} has another sha256 than expected",
                    file_name(&file.path)
                )));
            }
            None => {
                return Ok(State::Missing(format!(
                    "{} is not there",
                    file_name(&file.path)
                )));
            }
        }
    }
    Ok(State::Ready)
}

/// Writes bytes beside `path` and renames, so that a file is whole or absent.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().expect("every file of set-up is in a folder");
    (|| {
        std::fs::create_dir_all(folder)?;
        #[cfg_attr(not(unix), allow(unused_mut, reason = "only modes are set"))]
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // The system takes the umask off, as from any new file.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::io::Result::Ok(())
    })()
    .with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_file_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = |name: &str, content: &[u8]| Wanted {
            member: name.to_owned(),
            path: dir.path().join("sub").join(name),
            sha256: digest::of_bytes(content),
        };
        let files = [wanted("a", b"1"), wanted("b", b"2")];
        assert_eq!(
            state(&files).unwrap(),
            State::Missing("a is not there".into())
        );
        write(&files[0].path, b"1").unwrap();
        assert_eq!(
            state(&files).unwrap(),
            State::Missing("b is not there".into())
        );
        write(&files[1].path, b"3").unwrap();
        assert!(matches!(state(&files).unwrap(), State::Missing(why) if why.contains("b has")));
        write(&files[1].path, b"2").unwrap();
        assert_eq!(state(&files).unwrap(), State::Ready);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_mode_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let about = std::fs::metadata(dir.path().join(name)).unwrap();
            about.permissions().mode()
        };
        std::fs::write(dir.path().join("plain"), b"").unwrap();
        write(&dir.path().join("ours"), b"").unwrap();
        assert_eq!(mode("ours"), mode("plain"));
    }

    /// The umask belongs to the whole process, so the test above runs in one of
    /// its own.
    #[cfg(unix)]
    #[test]
    fn the_umask_is_heeded() {
        let out = std::process::Command::new("sh")
            .args(["-c", "umask 027 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "step::tests::a_file_has_the_mode_of_any_new_file",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && text.contains("1 passed"), "{text}");
    }
}
