//! A panic in a decoder is one bad file.
//!
//! The panic itself is caught here. What the process prints about it is decided
//! by the panic hook, which is global: a library has no business replacing it.
//! Instead [`is_decoding`] tells a binary's own hook that the panic it sees is
//! one that will be caught and counted, so that it can stay silent. A binary
//! that installs no hook prints Rust's message and carries on.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// True while this thread runs a decoder of this crate.
///
/// For panic hooks: a panic for which this is true is caught and becomes
/// `MediaError::Panicked`. Decoders are never run on threads of their own.
pub fn is_decoding() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// Runs a decoder; a panic comes back as its message.
///
/// Unwind safety: the closures passed here own their decoder state and borrow
/// only the immutable input bytes, so nothing half-changed is seen afterwards.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.with(|d| d.set(d.get() + 1));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    DEPTH.with(|d| d.set(d.get() - 1));
    outcome.map_err(|payload| message_of(payload.as_ref()))
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_flag_is_lowered() {
        assert!(!is_decoding());
        let seen = caught(|| {
            assert!(is_decoding());
            std::panic::panic_any(format!("broken at {}", 7));
        });
        assert_eq!(seen, Err::<(), _>("broken at 7".to_owned()));
        assert!(!is_decoding());
    }

    #[test]
    fn the_flag_belongs_to_one_thread_and_nests() {
        let inside = caught(|| {
            let elsewhere = std::thread::spawn(is_decoding).join().unwrap();
            let nested = caught(is_decoding).unwrap();
            (elsewhere, nested, is_decoding())
        });
        assert_eq!(inside, Ok((false, true, true)));
    }
}
