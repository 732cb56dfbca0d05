//! From a folder to upright RGB pixels.
//!
//! Owns finding picture files ([`scan`]), reading and hashing them in one pass
//! ([`read_bytes`]), telling formats apart by content ([`sniff`]), decoding
//! within limits ([`decode`]) and reading the capture time ([`capture_time`]).
//! Leaves to others: faces, crops, resizing, caches, and what to do about a
//! picture that could not be read.

mod container;
mod date;
mod decode;
mod error;
mod exif;

mod guard;
mod heic;
mod jpeg;
mod pixels;
mod psd;
mod raster;
mod read;
mod root;
mod scan;
mod sniff;
mod spare;

pub use date::MIN_CAPTURE_YEAR;
pub use decode::{
    DEFAULT_MAX_ALLOC_BYTES, DEFAULT_MAX_EDGE_PX, DEFAULT_MAX_PIXELS, DecodeLimits, Picture, decode,
};
pub use error::MediaError;
pub use exif::{CaptureTime, DateFlaw, capture_time};
pub use guard::is_decoding;
pub use jpeg::{JPEG_DECODER, JPEG_VECTOR_CODE};
pub use read::{DEFAULT_MAX_FILE_BYTES, FileBytes, read_bytes};
pub use root::absolute;
pub use scan::{Scan, ScanOptions, ScannedFile, SkipReason, Skipped, file_number, mtime_ns, scan};
pub use sniff::{Content, Format, OtherKind, SNIFF_BYTES, extension_fits, sniff};
pub use spare::recycle;
