//! The content of the frozen sample in fixtures/cache/.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by a test and the generator"
)]

use std::path::Path;

use faceset_cache::{Cache, CacheWriter};

use super::common::{enrichment, meta, photo};

/// An npz with every kind of record, and a journal that adds to it. Returns
/// what both say together.
pub fn write(path: &Path) -> Cache {
    let mut writer = CacheWriter::open(path, &meta(), "make_fixtures").unwrap();
    for i in 0..11 {
        writer.put(photo(i)).unwrap();
    }
    let first = photo(0).path;
    writer
        .add_alias(&first, "/elsewhere/copy.jpg".into(), 12)
        .unwrap();
    writer
        .enrich(&photo(1).path, 0, enrichment(1, true))
        .unwrap();
    writer
        .enrich(&photo(1).path, 1, enrichment(2, false))
        .unwrap();
    writer.compact().unwrap();
    writer.put(photo(12)).unwrap();
    writer
        .add_alias(&first, "/elsewhere/late.jpg".into(), 13)
        .unwrap();
    writer
        .enrich(&photo(3).path, 0, enrichment(3, true))
        .unwrap();
    writer.touch(&photo(2).path, 14).unwrap();
    writer.remove(&photo(5).path).unwrap();
    writer.flush().unwrap();
    writer.cache().clone()
}
