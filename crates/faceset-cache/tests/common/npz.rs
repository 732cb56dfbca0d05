//! Npz files made or changed by hand, for the tests of what may be wrong with
//! them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "helpers of tests: each binary uses its part"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// One array file.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
    dict.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.extend(data);
    bytes
}

pub fn floats(shape: &str, values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("'<f4'", shape, &data)
}

pub fn texts(values: &[&str]) -> Vec<u8> {
    let width = values
        .iter()
        .map(|v| v.chars().count())
        .max()
        .unwrap_or(1)
        .max(1);
    let mut data = Vec::new();
    for value in values {
        let mut points: Vec<u32> = value.chars().map(u32::from).collect();
        points.resize(width, 0);
        data.extend(points.iter().flat_map(|p| p.to_le_bytes()));
    }
    npy(
        &format!("'<U{width}'"),
        &format!("({},)", values.len()),
        &data,
    )
}

pub fn text(value: &str) -> Vec<u8> {
    let data: Vec<u8> = value
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    npy(&format!("'<U{}'", value.chars().count()), "()", &data)
}

pub fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut member = archive.by_index(i).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            let name = String::from_utf8(member.name_raw().to_vec()).unwrap();
            (name.trim_end_matches(".npy").to_owned(), bytes)
        })
        .collect()
}

pub fn write(path: &Path, members: &[(String, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in members {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Rewrites the archive with one member replaced, or left out for `None`.
pub fn replace(path: &Path, member: &str, bytes: Option<Vec<u8>>) {
    let mut all = members(path);
    let at = all
        .iter()
        .position(|(name, _)| name == member)
        .expect("the member exists");
    match bytes {
        Some(bytes) => all[at].1 = bytes,
        None => drop(all.remove(at)),
    }
    write(path, &all);
}
