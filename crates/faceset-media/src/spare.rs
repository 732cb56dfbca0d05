//! Pixels that nobody needs any more, for the next picture of the same thread.
//!
//! The system hands out fresh memory a page at a time and clears it: for a photo
//! of 7 megapixels 5,500 pages, a tenth of the time that decoding it takes.

use std::cell::Cell;

use image::RgbImage;

/// The largest buffer that is kept, bytes: a photo of 22 megapixels. Larger ones
/// are rare, and memory counts then more than time. Our choice.
const MAX_SPARE_BYTES: usize = 64 << 20;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives the pixels of a picture back, for the next JPEG that this thread
/// decodes. Not calling it costs time and nothing else.
pub fn recycle(picture: RgbImage) {
    let pixels = picture.into_raw();
    if pixels.capacity() <= MAX_SPARE_BYTES {
        SPARE.set(pixels);
    }
}

/// A buffer of `n_bytes` with anything in it.
pub(crate) fn buffer(n_bytes: usize) -> Vec<u8> {
    let mut spare = SPARE.take();
    if spare.capacity() < n_bytes {
        // Room for larger ones to come. What is not written to costs nothing:
        // the system gives memory for it when it is.
        let room = n_bytes.next_power_of_two().min(MAX_SPARE_BYTES);
        spare = vec![0; room.max(n_bytes)];
    }
    spare.resize(n_bytes, 0);
    spare
}

/// Frees what is kept: the next picture needs its memory elsewhere.
pub(crate) fn free() {
    SPARE.take();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_while_it_is_large_enough() {
        let picture = RgbImage::from_pixel(20, 10, image::Rgb([7, 8, 9]));
        let place = picture.as_raw().as_ptr();
        recycle(picture);
        let smaller = buffer(300);
        assert_eq!((smaller.as_ptr(), smaller.len()), (place, 300));
        recycle(RgbImage::from_raw(10, 10, smaller).unwrap());
        let again = buffer(600);
        assert_eq!((again.as_ptr(), again.len()), (place, 600));
        // It was taken: the next one is fresh.
        assert_eq!(buffer(600), vec![0; 600]);
    }

    #[test]
    fn a_fresh_buffer_has_room_for_larger_pictures() {
        free();
        let first = buffer(300);
        let place = first.as_ptr();
        recycle(RgbImage::from_raw(10, 10, first).unwrap());
        let larger = buffer(510);
        assert_eq!((larger.as_ptr(), larger.len()), (place, 510));
    }

    #[test]
    fn too_small_a_buffer_and_a_freed_one_are_not_used() {
        recycle(RgbImage::from_pixel(2, 2, image::Rgb([7, 8, 9])));
        assert_eq!(buffer(13), vec![0; 13]);
        recycle(RgbImage::from_pixel(2, 2, image::Rgb([7, 8, 9])));
        free();
        assert_eq!(buffer(12), vec![0; 12]);
    }
}
