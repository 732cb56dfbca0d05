//! Writing the planned library, its truth and its digests.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZero;
use std::path::Path;

use anyhow::{Context as _, ensure};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

use super::recipe::{self, Content, Encoding, Entry, Subject};
use super::sources::{self, SOURCES};
use super::{draw, exif};
use crate::digest;
use crate::home::Home;
use crate::step::{self, State};

/// Bytes of the file that is no picture.
const TEXT: &[u8] = b"This file is called .jpg and holds words.\n";

/// `library.json`: what was made, to see whether it is still there.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    /// [`recipe::VERSION`] of the library.
    recipe: u32,
    /// Digest of `truth.json`.
    truth_sha256: String,
    /// Digest of each file by its path below the library.
    sha256: BTreeMap<String, String>,
}

/// `truth.json`: who is on which photo.
#[derive(Debug, Serialize)]
struct Truth<'a> {
    recipe: u32,
    /// People by path below the library, forward slashes; an empty list means
    /// that nobody is on it.
    photos: BTreeMap<&'a str, &'a [&'static str]>,
    /// Cut-off files and files that are no picture. Whether a reader salvages
    /// something of the first kind is its own affair.
    damaged: Vec<&'a str>,
}

/// Ready when every file is there as the current recipe made it. Files that a
/// person added are not looked at.
pub(crate) fn state(home: &Home) -> anyhow::Result<State> {
    let path = home.samples().join("library.json");
    let Ok(bytes) = std::fs::read(&path) else {
        return Ok(State::Missing("the library was not made yet".to_owned()));
    };
    let Ok(made) = serde_json::from_slice::<Made>(&bytes) else {
        return Ok(State::Missing("its library.json is damaged".to_owned()));
    };
    if made.recipe != recipe::VERSION {
        return Ok(State::Missing(format!(
            "the library is of recipe {}, not {}",
            made.recipe,
            recipe::VERSION
        )));
    }
    if !digest::matches(&home.samples().join("truth.json"), &made.truth_sha256)? {
        return Ok(State::Missing(
            "truth.json is missing or changed".to_owned(),
        ));
    }
    for (file, sha256) in &made.sha256 {
        if !digest::matches(&home.sample_library().join(file), sha256)? {
            return Ok(State::Missing(format!("{file} is missing or changed")));
        }
    }
    Ok(State::Ready)
}

/// Makes the library anew from the sources, which must be there.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    println!("  making the sample library");
    let mut pictures = BTreeMap::new();
    for source in SOURCES {
        let path = sources::path(home, source);
        let picture = image::open(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .to_rgb8();
        pictures.insert(source.file, picture);
    }
    let subjects: Vec<Subject> = SOURCES
        .iter()
        .map(|s| Subject {
            file: s.file,
            size: pictures[s.file].dimensions().into(),
            faces: s.faces,
        })
        .collect();
    let entries = recipe::plan(&subjects)?;
    let files = render_all(&entries, &pictures)?;

    // Old state goes first, so that an interrupted run is seen as one.
    let record = home.samples().join("library.json");
    remove(&record)?;
    remove(&home.sample_library())?;
    for (path, bytes) in &files {
        step::write(&home.sample_library().join(path), bytes)?;
    }
    let truth = Truth {
        recipe: recipe::VERSION,
        photos: entries
            .iter()
            .filter_map(|e| Some((e.path.as_str(), e.people.as_deref()?)))
            .collect(),
        damaged: entries
            .iter()
            .filter(|e| e.people.is_none())
            .map(|e| e.path.as_str())
            .collect(),
    };
    let truth = serde_json::to_vec_pretty(&truth)?;
    step::write(&home.samples().join("truth.json"), &truth)?;
    let made = Made {
        recipe: recipe::VERSION,
        truth_sha256: digest::of_bytes(&truth),
        sha256: files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), digest::of_bytes(bytes)))
            .collect(),
    };
    step::write(&record, &serde_json::to_vec_pretty(&made)?)?;
    println!(
        "    {} files in {}",
        files.len(),
        home.shown(&home.sample_library())
    );
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else if path.exists() {
        std::fs::remove_file(path)
    } else {
        return Ok(());
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Every entry's bytes by its path. Entries that repeat another are made from
/// its bytes.
fn render_all<'a>(
    entries: &'a [Entry],
    pictures: &BTreeMap<&str, RgbImage>,
) -> anyhow::Result<BTreeMap<&'a str, Vec<u8>>> {
    type Rendered<'a> = anyhow::Result<Vec<(&'a str, Vec<u8>)>>;
    let originals: Vec<&Entry> = entries.iter().filter(|e| repeats(e).is_none()).collect();
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut files = BTreeMap::new();
    let rendered: Vec<Rendered<'_>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let mine = originals.iter().skip(first).step_by(threads);
                scope.spawn(move || {
                    mine.map(|entry| Ok((entry.path.as_str(), original(entry, pictures)?)))
                        .collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|w| {
                w.join()
                    .expect("rendering a planned picture does not panic")
            })
            .collect()
    });
    for part in rendered {
        files.extend(part?);
    }
    for entry in entries {
        if let Some(of) = repeats(entry) {
            let bytes = files
                .get(of)
                .with_context(|| format!("{} repeats {of}, which is not planned", entry.path))?;
            let repeated = repetition(entry, bytes)?;
            files.insert(entry.path.as_str(), repeated);
        }
    }
    Ok(files)
}

/// The file that an entry is made from.
fn repeats(entry: &Entry) -> Option<&str> {
    match &entry.content {
        Content::Copy { of } | Content::Again { of, .. } | Content::Truncated { of } => Some(of),
        Content::Photo(_) | Content::Wall { .. } | Content::Drawing { .. } | Content::Text => None,
    }
}

fn original(entry: &Entry, pictures: &BTreeMap<&str, RgbImage>) -> anyhow::Result<Vec<u8>> {
    let render = |view: &recipe::View| view.render(&pictures[view.source]);
    let picture = match &entry.content {
        Content::Photo(view) => render(view),
        Content::Wall { prints, seed } => {
            let prints: Vec<RgbImage> = prints.iter().map(render).collect();
            draw::wall(&prints, *seed)
        }
        Content::Drawing { motif, size, seed } => motif.draw(*size, *seed),
        Content::Text => return Ok(TEXT.to_vec()),
        Content::Copy { .. } | Content::Again { .. } | Content::Truncated { .. } => {
            unreachable!("repetitions are made from their originals")
        }
    };
    encode(entry, &picture)
}

fn repetition(entry: &Entry, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    match &entry.content {
        Content::Truncated { .. } => Ok(bytes[..bytes.len() / 3].to_vec()),
        Content::Again { width, .. } => {
            let picture = upright(bytes)?;
            let height = picture.height() * width / picture.width();
            let resized = imageops::resize(&picture, *width, height, FilterType::CatmullRom);
            encode(entry, &resized)
        }
        _ => Ok(bytes.to_vec()),
    }
}

/// Decodes and turns as the orientation says.
fn upright(bytes: &[u8]) -> anyhow::Result<RgbImage> {
    use image::ImageDecoder as _;
    let mut decoder = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = image::DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

fn encode(entry: &Entry, picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match entry.encoding {
        Encoding::Png => picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)?,
        Encoding::Jpeg {
            quality,
            orientation,
        } => {
            let stored = match orientation {
                3 => imageops::rotate180(picture),
                // Readers turn 6 to the right and 8 to the left.
                6 => imageops::rotate270(picture),
                8 => imageops::rotate90(picture),
                _ => picture.clone(),
            };
            JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&stored)?;
            bytes = exif::insert(&bytes, orientation, &entry.taken)?;
        }
    }
    ensure!(!bytes.is_empty(), "{} came out empty", entry.path);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn entry(encoding: Encoding) -> Entry {
        Entry {
            path: "a/b.jpg".into(),
            content: Content::Text,
            encoding,
            taken: "2020:02:29 10:11:12".into(),
            people: None,
        }
    }

    /// Red at the upper left, the rest blue; wider than high.
    fn picture() -> RgbImage {
        RgbImage::from_fn(96, 48, |x, y| {
            if x < 32 && y < 16 {
                Rgb([220, 20, 20])
            } else {
                Rgb([20, 20, 220])
            }
        })
    }

    #[test]
    fn turned_pictures_come_back_upright() {
        for orientation in [1, 3, 6, 8] {
            let jpeg = Encoding::Jpeg {
                quality: 95,
                orientation,
            };
            let bytes = encode(&entry(jpeg), &picture()).unwrap();
            let back = upright(&bytes).unwrap();
            assert_eq!(back.dimensions(), (96, 48), "orientation {orientation}");
            let [red, _, blue] = back.get_pixel(8, 8).0;
            assert!(red > 180 && blue < 60, "orientation {orientation}");
            let [red, _, blue] = back.get_pixel(80, 40).0;
            assert!(red < 60 && blue > 180, "orientation {orientation}");
        }
    }

    #[test]
    fn a_repetition_is_a_copy_a_smaller_picture_or_a_part() {
        let jpeg = Encoding::Jpeg {
            quality: 80,
            orientation: 6,
        };
        let bytes = encode(&entry(jpeg), &picture()).unwrap();
        let of = || "x".to_owned();
        let mut repeating = entry(Encoding::Png);
        repeating.content = Content::Copy { of: of() };
        assert_eq!(repetition(&repeating, &bytes).unwrap(), bytes);
        repeating.content = Content::Truncated { of: of() };
        assert_eq!(
            repetition(&repeating, &bytes).unwrap(),
            bytes[..bytes.len() / 3]
        );
        repeating.content = Content::Again {
            of: of(),
            width: 48,
        };
        let again = repetition(&repeating, &bytes).unwrap();
        assert!(again.starts_with(b"\x89PNG"));
        assert_eq!(upright(&again).unwrap().dimensions(), (48, 24));
    }

    #[test]
    fn a_library_of_another_recipe_or_with_a_changed_file_is_not_ready() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            repository: dir.path().into(),
            root: dir.path().into(),
        };
        let not_ready = |part: &str| {
            assert!(
                matches!(state(&home).unwrap(), State::Missing(why) if why.contains(part)),
                "{part}"
            );
        };
        not_ready("not made yet");
        let record = |recipe| {
            let sha256 = BTreeMap::from([("a.jpg".to_owned(), digest::of_bytes(b"1"))]);
            let made = Made {
                recipe,
                truth_sha256: digest::of_bytes(b"{}"),
                sha256,
            };
            let made = serde_json::to_vec(&made).unwrap();
            step::write(&home.samples().join("library.json"), &made).unwrap();
        };
        record(recipe::VERSION + 1);
        not_ready("recipe");
        record(recipe::VERSION);
        not_ready("truth.json");
        step::write(&home.samples().join("truth.json"), b"{}").unwrap();
        not_ready("a.jpg");
        step::write(&home.sample_library().join("a.jpg"), b"2").unwrap();
        not_ready("a.jpg");
        step::write(&home.sample_library().join("a.jpg"), b"1").unwrap();
        assert_eq!(state(&home).unwrap(), State::Ready);
    }
}
