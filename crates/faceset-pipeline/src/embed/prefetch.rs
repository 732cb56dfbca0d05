//! Reading ahead of the workers, bounded by bytes.
//!
//! Some threads read files in order while the workers compute, so that a slow
//! disk or a network mount costs waiting once, not once a photo. What is read
//! and not yet given back stays below a budget, whatever the photos' sizes; a
//! photo larger than the budget is read alone.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Threads that read ahead: enough to keep a network mount busy with small
/// files, few enough not to make a spinning disk seek. Our choice.
const N_READERS: usize = 4;

/// Files that may be read ahead of the oldest one in work, however small: keeps
/// the list short and a stopped run from having read in vain.
const MAX_AHEAD: usize = 256;

/// Reads items `0..len` ahead of those who [`Prefetch::take`] them.
pub(super) struct Prefetch<'a, R> {
    sizes: &'a (dyn Fn(usize) -> u64 + Sync),
    len: usize,
    budget_bytes: u64,
    state: Mutex<State<R>>,
    moved: Condvar,
}

struct State<R> {
    /// Next item that a reader starts.
    next: usize,
    /// Sum of the sizes of what is read or being read and not given back.
    used_bytes: u64,
    n_out: usize,
    ready: BTreeMap<usize, R>,
    closed: bool,
}

/// An item's reading; its share of the budget is free again when dropped.
pub(super) struct Taken<'p, 'a, R> {
    pub(super) read: R,
    at: usize,
    prefetch: &'p Prefetch<'a, R>,
}

impl<'a, R: Send> Prefetch<'a, R> {
    pub(super) fn new(
        len: usize,
        budget_bytes: u64,
        sizes: &'a (dyn Fn(usize) -> u64 + Sync),
    ) -> Self {
        Self {
            sizes,
            len,
            budget_bytes,
            state: Mutex::new(State {
                next: 0,
                used_bytes: 0,
                n_out: 0,
                ready: BTreeMap::new(),
                closed: false,
            }),
            moved: Condvar::new(),
        }
    }

    /// Runs `f` while readers read ahead for it.
    pub(super) fn while_reading<T>(
        &self,
        read: impl Fn(usize) -> R + Sync,
        f: impl FnOnce() -> T,
    ) -> T {
        std::thread::scope(|scope| {
            for _ in 0..N_READERS.min(self.len) {
                scope.spawn(|| {
                    while let Some(at) = self.next() {
                        self.deliver(at, read(at));
                    }
                });
            }
            let closing = CloseOnDrop(self);
            let result = f();
            drop(closing);
            result
        })
    }

    /// The reading of an item, once there is one. Items must be taken in order,
    /// each once; any number may be held. `None` after the end.
    pub(super) fn take(&self, at: usize) -> Option<Taken<'_, 'a, R>> {
        let mut state = self.lock();
        loop {
            if let Some(read) = state.ready.remove(&at) {
                return Some(Taken {
                    read,
                    at,
                    prefetch: self,
                });
            }
            if state.closed {
                return None;
            }
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.closed || state.next == self.len {
                return None;
            }
            let at = state.next;
            let size = (self.sizes)(at);
            let has_room = state.used_bytes.saturating_add(size) <= self.budget_bytes
                && state.n_out < MAX_AHEAD;
            if has_room || state.n_out == 0 {
                state.next += 1;
                state.used_bytes += size;
                state.n_out += 1;
                return Some(at);
            }
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn deliver(&self, at: usize, read: R) {
        self.lock().ready.insert(at, read);
        self.moved.notify_all();
    }
}

impl<R> Prefetch<'_, R> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Drop for Taken<'_, '_, R> {
    fn drop(&mut self) {
        let mut state = self.prefetch.lock();
        state.used_bytes -= (self.prefetch.sizes)(self.at);
        state.n_out -= 1;
        drop(state);
        self.prefetch.moved.notify_all();
    }
}

/// Ends the readers also when the work unwinds.
struct CloseOnDrop<'p, 'a, R>(&'p Prefetch<'a, R>);

impl<R> Drop for CloseOnDrop<'_, '_, R> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    #[test]
    fn everything_is_read_once_and_arrives_under_its_number() {
        let sizes = |at: usize| at as u64 % 7;
        let prefetch = Prefetch::new(500, 20, &sizes);
        let n_reads = AtomicUsize::new(0);
        let read = |at| {
            n_reads.fetch_add(1, Ordering::SeqCst);
            at * 3
        };
        let all: Vec<usize> = prefetch.while_reading(read, || {
            (0..500).map(|at| prefetch.take(at).unwrap().read).collect()
        });
        assert!(all.iter().copied().eq((0..500).map(|at| at * 3)));
        assert_eq!(n_reads.load(Ordering::SeqCst), 500);
    }

    #[test]
    fn what_is_out_stays_below_the_budget_but_for_one_giant() {
        let sizes = |at: usize| if at == 50 { 1000 } else { 10 };
        let prefetch = Prefetch::new(100, 35, &sizes);
        let (out, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let read = |at: usize| {
            let now = out.fetch_add(sizes(at), Ordering::SeqCst) + sizes(at);
            most.fetch_max(if at == 50 { now - 1000 } else { now }, Ordering::SeqCst);
        };
        prefetch.while_reading(read, || {
            // On a busy machine the readers come late; nothing is taken before.
            let patience = Instant::now() + Duration::from_mins(1);
            while most.load(Ordering::SeqCst) < 30 && Instant::now() < patience {
                std::thread::yield_now();
            }
            for at in 0..100 {
                let taken = prefetch.take(at).unwrap();
                out.fetch_sub(sizes(at), Ordering::SeqCst);
                drop(taken);
            }
        });
        // Three of ten fit into 35; the giant is read when nothing else is out.
        assert_eq!(most.load(Ordering::SeqCst), 30);
    }

    #[test]
    fn a_run_that_ends_early_ends_its_readers() {
        let sizes = |_: usize| 1;
        let prefetch = Prefetch::new(10_000, 100, &sizes);
        let n_reads = AtomicUsize::new(0);
        let read = |_| n_reads.fetch_add(1, Ordering::SeqCst);
        prefetch.while_reading(read, || drop(prefetch.take(0)));
        assert!(n_reads.load(Ordering::SeqCst) <= 1 + 100);
        assert!(prefetch.take(9_999).is_none());
    }
}
