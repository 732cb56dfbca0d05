//! Orientation and capture time from EXIF.

use std::io::Cursor;

use exif::{Context, Exif, In, Reader, Tag, Value};

use crate::date::{self, MIN_CAPTURE_YEAR, Stamp};
use crate::guard::caught;
use crate::{Content, Format, container, jpeg, psd, sniff};

/// When a picture was taken, as far as its EXIF can be believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaptureTime {
    /// `YYYY-MM-DDTHH:MM:SS` in the camera's own time, without zone.
    pub taken: Option<String>,
    /// Why there is no time, or why a better tag was passed over. `None` when
    /// the picture simply carries no date or the best tag was good.
    pub problem: Option<String>,
    /// Why there is no time, for counting. `None` when there is one, or when
    /// the picture carries no date at all.
    pub flaw: Option<DateFlaw>,
}

/// A date that can't be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DateFlaw {
    /// Before [`MIN_CAPTURE_YEAR`].
    TooEarly,
    /// After the latest year that was given.
    Future,
    /// No date of the calendar (year 0000, blanks, month 13), or the EXIF block
    /// could not be read.
    Garbled,
}

/// Capture time of a picture file, without decoding its pixels.
///
/// The tags DateTimeOriginal, then DateTimeDigitized, then DateTime are looked
/// for in every directory of the EXIF block (some writers put them in the wrong
/// one). The first that holds a date of the calendar decides; blank, zero and
/// garbled ones are passed over with a word in `problem`. A date before
/// [`MIN_CAPTURE_YEAR`] (equal is kept) or after `latest_year` (equal is kept;
/// `None` believes any) is refused **without** falling back: the tags that
/// follow say when the file was edited, which would be a wrong year.
pub fn capture_time(bytes: &[u8], latest_year: Option<i32>) -> CaptureTime {
    match sniff(bytes) {
        Content::Picture(format) => read(format, bytes).capture_time(latest_year),
        _ => CaptureTime::default(),
    }
}

/// A picture's EXIF block, however little of it could be read.
#[derive(Default)]
pub(crate) struct Metadata {
    exif: Option<Exif>,
    problem: Option<String>,
}

/// Finds and parses the EXIF block of a file. Never fails: a broken block is
/// a problem to mention, not a reason to lose the picture.
pub(crate) fn read(format: Format, bytes: &[u8]) -> Metadata {
    let outcome = caught(|| match format {
        Format::Jpeg => parse_first(&jpeg::exif_blocks(bytes)),
        Format::Psd => parse_first(&psd::exif_block(bytes).into_iter().collect::<Vec<_>>()),
        Format::Png | Format::WebP => parse_first(
            &container::exif_block(format, bytes)
                .into_iter()
                .collect::<Vec<_>>(),
        ),
        Format::Tiff | Format::Heic => {
            settle(reader().read_from_container(&mut Cursor::new(bytes)))
        }
        _ => Metadata::default(),
    });
    outcome.unwrap_or_else(|message| Metadata {
        exif: None,
        problem: Some(format!("EXIF could not be read: {message}")),
    })
}

impl Metadata {
    /// EXIF orientation 1 to 8 of the main picture; 1 when absent or invalid.
    pub(crate) fn orientation(&self) -> u8 {
        self.exif
            .as_ref()
            .and_then(|e| e.get_field(Tag::Orientation, In::PRIMARY))
            .and_then(|f| f.value.get_uint(0))
            .and_then(|v| u8::try_from(v).ok())
            .filter(|v| (1..=8).contains(v))
            .unwrap_or(1)
    }

    /// See [`capture_time`].
    pub(crate) fn capture_time(&self, latest_year: Option<i32>) -> CaptureTime {
        let mut problem = self.problem.clone();
        for (number, name) in DATE_TAGS {
            for text in self.texts(number) {
                match date::parse(&text) {
                    Some(stamp) => return judge(stamp, name, latest_year, problem),
                    None => {
                        problem.get_or_insert_with(|| {
                            format!("{name} {:?} is not a date", text.trim_end_matches('\0'))
                        });
                    }
                }
            }
        }
        let flaw = problem.as_ref().map(|_| DateFlaw::Garbled);
        CaptureTime {
            taken: None,
            problem,
            flaw,
        }
    }

    /// The texts of a tag in all directories, the main picture's first.
    fn texts(&self, number: u16) -> Vec<String> {
        let mut found: Vec<(u16, String)> = self
            .exif
            .iter()
            .flat_map(Exif::fields)
            .filter(|f| {
                f.tag.number() == number && matches!(f.tag.context(), Context::Exif | Context::Tiff)
            })
            .filter_map(|f| match &f.value {
                Value::Ascii(lines) => {
                    let line = lines.first()?;
                    Some((
                        f.ifd_num.index(),
                        String::from_utf8_lossy(line).into_owned(),
                    ))
                }
                _ => None,
            })
            .collect();
        found.sort_by_key(|(ifd, _)| *ifd);
        found.into_iter().map(|(_, text)| text).collect()
    }
}

/// Tag numbers in the order in which they are believed.
const DATE_TAGS: [(u16, &str); 3] = [
    (0x9003, "DateTimeOriginal"),
    (0x9004, "DateTimeDigitized"),
    (0x0132, "DateTime"),
];

fn judge(
    stamp: Stamp,
    name: &str,
    latest_year: Option<i32>,
    problem: Option<String>,
) -> CaptureTime {
    let refused = if stamp.year < MIN_CAPTURE_YEAR {
        let reason = format!("{name} {} is before {MIN_CAPTURE_YEAR}", stamp.iso());
        Some((reason, DateFlaw::TooEarly))
    } else {
        latest_year
            .filter(|latest| stamp.year > *latest)
            .map(|latest| {
                let reason = format!("{name} {} is in the future (after {latest})", stamp.iso());
                (reason, DateFlaw::Future)
            })
    };
    match refused {
        Some((reason, flaw)) => CaptureTime {
            taken: None,
            problem: Some(reason),
            flaw: Some(flaw),
        },
        None => CaptureTime {
            taken: Some(stamp.iso()),
            problem,
            flaw: None,
        },
    }
}

fn reader() -> Reader {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader
}

/// The first block that can be parsed: writers leave broken ones in front.
fn parse_first(blocks: &[&[u8]]) -> Metadata {
    let mut first_problem = None;
    for block in blocks {
        let metadata = settle(reader().read_raw(block.to_vec()));
        if metadata.exif.is_some() {
            return metadata;
        }
        first_problem = first_problem.or(metadata.problem);
    }
    Metadata {
        exif: None,
        problem: first_problem,
    }
}

fn settle(outcome: Result<Exif, exif::Error>) -> Metadata {
    match outcome {
        Ok(exif) => Metadata {
            exif: Some(exif),
            problem: None,
        },
        Err(exif::Error::PartialResult(partial)) => Metadata {
            exif: Some(partial.into_inner().0),
            problem: None,
        },
        // No block at all is the normal state of many pictures.
        Err(exif::Error::NotFound(_)) => Metadata::default(),
        Err(error) => Metadata {
            exif: None,
            problem: Some(format!("EXIF could not be read: {error}")),
        },
    }
}
