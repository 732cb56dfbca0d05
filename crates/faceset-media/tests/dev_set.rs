//! The labelled set of real cases beside the checkout, when it is there.
//!
//! Its manifests say what Pillow makes of each file. Sizes, orientations and
//! dates must agree, or the difference is listed here with its reason. The
//! cases themselves are also generated in the other tests of this crate; this
//! one adds files that real cameras and editors wrote.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stop the test like the tests do"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use faceset_media::{DEFAULT_MAX_FILE_BYTES, DecodeLimits, decode, read_bytes};

/// Where we differ from Pillow on purpose, or it from us.
const DIFFERENT: &[(&str, &str)] = &[
    // Orientation only in XMP or in ImageMagick's text chunk: OpenCV, browsers
    // and we read the eXIf chunk of a PNG only.
    ("xmp_tags_orientation.png", "orientation 1"),
    ("xmp_tags_orientation_exiftool.png", "orientation 1"),
    ("exif_imagemagick_orientation.png", "orientation 1"),
    // Cut or damaged scans: the rows that are there are kept and marked.
    ("truncated_jpeg.jpg", "truncated"),
    // Pillow gives up on data that decoders can read to the end.
    ("photo_46.jpg", "read"),
    // Formats that are not decoded here.
    ("example.avif", "unsupported"),
    ("colors-animated-8bpc.avif", "unsupported"),
    ("paris_icc_exif_xmp.avif", "unsupported"),
    ("abc_color_irot_alpha_irot.avif", "unsupported"),
    // This Pillow had no HEIF reader.
    ("example.heic", "read"),
    ("iphone_13_pro_max.HEIC", "read"),
];

#[test]
fn the_dev_set_decodes_as_its_manifests_say() {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dev");
    let mut n_checked = 0;
    for folder in ["exif", "broken", "formats"] {
        let manifest = dev.join(folder).join("manifest.csv");
        // The set may not be passed on, so a checkout may lack it.
        let Ok(text) = std::fs::read_to_string(&manifest) else {
            // Past the test runner's capture: what did not run says so.
            let _ = writeln!(
                std::io::stderr(),
                "not run, for want of {}",
                manifest.display()
            );
            continue;
        };
        for row in rows(&text) {
            let path = dev.join(folder).join(&row["path"]);
            let problem = disagreement(&path, &row);
            assert_eq!(problem, None, "{}", path.display());
            n_checked += 1;
        }
    }
    // With the set there, all of it was looked at.
    if dev.join("exif/manifest.csv").is_file() {
        assert!(n_checked >= 120, "only {n_checked} rows");
    }
}

fn disagreement(path: &Path, row: &BTreeMap<String, String>) -> Option<String> {
    let name = row["path"].as_str();
    let known = DIFFERENT
        .iter()
        .find(|(file, _)| *file == name)
        .map(|(_, how)| *how);
    let bytes = read_bytes(path, DEFAULT_MAX_FILE_BYTES).unwrap().bytes;
    let limits = DecodeLimits {
        latest_year: Some(2030),
        ..DecodeLimits::default()
    };
    let pillow_reads = row["pillow"] == "ok";
    let picture = match decode(&bytes, &limits) {
        Ok(picture) => picture,
        Err(e) if known == Some("unsupported") => {
            let line = e.one_line();
            return (!line.contains("not supported in this build")).then_some(line);
        }
        Err(e) => return pillow_reads.then(|| e.one_line()),
    };
    if !pillow_reads && !matches!(known, Some("truncated" | "read")) {
        return Some("read here, refused by Pillow".to_owned());
    }
    if known == Some("truncated") && !picture.truncated {
        return Some("not marked as truncated".to_owned());
    }
    let size = format!("{}x{}", picture.rgb.width(), picture.rgb.height());
    if pillow_reads && size != row["upright_size"] {
        return Some(format!("size {size}, Pillow says {}", row["upright_size"]));
    }
    let expected: u8 = match (known, row["orientation"].parse()) {
        (Some("orientation 1"), _) | (_, Err(_) | Ok(0)) => 1,
        (_, Ok(orientation)) => orientation,
    };
    if picture.orientation != expected {
        return Some(format!(
            "orientation {} for {expected}",
            picture.orientation
        ));
    }
    if let Ok(n_frames) = row["frames"].parse::<u32>() {
        // An MPO's further pictures and a PSD's layers are no frames here.
        let counted = !matches!(row["pil_format"].as_str(), "MPO" | "PSD");
        if counted && picture.frames.unwrap_or(1) != n_frames {
            return Some(format!("{:?} frames for {n_frames}", picture.frames));
        }
    }
    let taken = picture.taken.unwrap_or_default();
    let wanted = expected_date(row);
    (pillow_reads && taken != wanted && !row_lacks_dates_pillow_did_not_look_for(name, &wanted))
        .then(|| format!("taken {taken:?}, Pillow's tags say {wanted:?}"))
}

/// The manifest has no DateTimeDigitized and looks for DateTimeOriginal only
/// where it belongs; these files carry a date elsewhere.
fn row_lacks_dates_pillow_did_not_look_for(name: &str, wanted: &str) -> bool {
    wanted.is_empty() && name == "hopper.psd"
}

/// Original when it is a date, else the date of change, as our contract says.
fn expected_date(row: &BTreeMap<String, String>) -> String {
    ["datetime_original", "datetime"]
        .iter()
        .map(|column| row[*column].trim())
        .find(|text| text.len() >= 19 && !text.starts_with("0000"))
        .map(|text| {
            let date = text[..10].replace(':', "-");
            format!("{date}T{}", &text[11..19])
        })
        .unwrap_or_default()
}

/// Rows of a CSV file with a header and double-quoted fields.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines().map(fields);
    let header = lines.next().unwrap();
    lines
        .map(|values| header.iter().cloned().zip(values).collect())
        .collect()
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}
