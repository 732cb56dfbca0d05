//! Many workers, results in order.
//!
//! Workers take items in order and never run further ahead of the slowest than
//! a window, so that memory stays bounded; results reach the sink in item
//! order, so that a run is a prefix of every longer run whatever the number of
//! workers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};

use crate::{Ctx, PipelineError};

/// Items a worker may be ahead of the oldest unfinished one, per worker.
const WINDOW_PER_WORKER: usize = 8;

/// Runs `work` on every item with `ctx.n_workers` threads, each with its own
/// state from `init`, and hands results to `sink` in item order.
///
/// A panic in `work` is that item's result, made by `on_panic`. A stop request
/// ends the run with [`PipelineError::Interrupted`] after everything before the
/// first unfinished item reached the sink.
pub(crate) fn ordered<I, S, R>(
    ctx: Ctx<'_>,
    items: &[I],
    init: impl Fn() -> Result<S, PipelineError> + Sync,
    work: impl Fn(&mut S, &I) -> R + Sync,
    on_panic: impl Fn(&I) -> R + Sync,
    mut sink: impl FnMut(&I, R) -> Result<(), PipelineError>,
) -> Result<(), PipelineError>
where
    I: Sync,
    R: Send,
{
    let n_workers = ctx.n_workers.clamp(1, items.len().max(1));
    let queue = Queue::new(items.len(), n_workers * WINDOW_PER_WORKER);
    let (sender, receiver) = mpsc::channel::<Result<(usize, R), PipelineError>>();
    std::thread::scope(|scope| {
        for _ in 0..n_workers {
            let (sender, queue, init, work, on_panic) =
                (sender.clone(), &queue, &init, &work, &on_panic);
            scope.spawn(move || {
                let mut state = match init() {
                    Ok(state) => state,
                    Err(error) => {
                        let _ = sender.send(Err(error));
                        return;
                    }
                };
                while let Some(at) = queue.take() {
                    if ctx.cancel.is_cancelled() {
                        return;
                    }
                    let item = &items[at];
                    let result = catch_unwind(AssertUnwindSafe(|| work(&mut state, item)))
                        .unwrap_or_else(|_| on_panic(item));
                    if sender.send(Ok((at, result))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let outcome = drain(&receiver, items, &queue, &mut sink);
        // Workers that wait for the window must see that nobody listens.
        queue.close();
        drop(receiver);
        outcome?;
        if queue.emitted() < items.len() {
            Err(PipelineError::Interrupted)
        } else {
            Ok(())
        }
    })
}

fn drain<I, R>(
    receiver: &mpsc::Receiver<Result<(usize, R), PipelineError>>,
    items: &[I],
    queue: &Queue,
    sink: &mut impl FnMut(&I, R) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for message in receiver {
        let (at, result) = message?;
        waiting.insert(at, result);
        while let Some(result) = waiting.remove(&next) {
            sink(&items[next], result)?;
            next += 1;
            queue.advance(next);
        }
    }
    Ok(())
}

struct Queue {
    state: Mutex<State>,
    moved: Condvar,
    len: usize,
    window: usize,
}

struct State {
    taken: usize,
    emitted: usize,
    closed: bool,
}

impl Queue {
    fn new(len: usize, window: usize) -> Self {
        let state = Mutex::new(State {
            taken: 0,
            emitted: 0,
            closed: false,
        });
        Self {
            state,
            moved: Condvar::new(),
            len,
            window,
        }
    }

    fn take(&self) -> Option<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.taken < self.len && state.taken >= state.emitted + self.window
        {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed || state.taken == self.len {
            return None;
        }
        state.taken += 1;
        Some(state.taken - 1)
    }

    fn advance(&self, emitted: usize) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .emitted = emitted;
        self.moved.notify_all();
    }

    fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.moved.notify_all();
    }

    fn emitted(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .emitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::{CancelToken, NoProgress};
    use std::time::Duration;

    fn ctx(cancel: &CancelToken, n_workers: usize) -> Ctx<'_> {
        Ctx {
            progress: &NoProgress,
            cancel,
            holder: "test",
            n_workers,
            current_year: 2026,
            now: jiff::Timestamp::UNIX_EPOCH,
            kernel: None,
        }
    }

    #[test]
    fn results_arrive_in_order_whatever_the_workers_do() {
        let cancel = CancelToken::default();
        let items: Vec<u64> = (0..200).collect();
        let mut seen = Vec::new();
        let slow_at_the_start = |(): &mut (), item: &u64| {
            if *item < 3 {
                std::thread::sleep(Duration::from_millis(20));
            }
            item * 2
        };
        ordered(
            ctx(&cancel, 4),
            &items,
            || Ok(()),
            slow_at_the_start,
            |_| 0,
            |_, r| {
                seen.push(r);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, items.iter().map(|i| i * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_stop_request_delivers_a_prefix_and_says_so() {
        let cancel = CancelToken::default();
        let items: Vec<usize> = (0..500).collect();
        let mut seen = Vec::new();
        let work = |(): &mut (), item: &usize| {
            if *item == 40 {
                cancel.cancel();
            }
            *item
        };
        let outcome = ordered(
            ctx(&cancel, 3),
            &items,
            || Ok(()),
            work,
            |_| 0,
            |_, r| {
                seen.push(r);
                Ok(())
            },
        );
        assert!(matches!(outcome, Err(PipelineError::Interrupted)));
        assert!(seen.len() < 500 && seen.iter().copied().eq(0..seen.len()));
    }

    #[test]
    fn a_panicking_item_is_one_bad_item() {
        let cancel = CancelToken::default();
        let mut seen = Vec::new();
        let work = |(): &mut (), item: &i32| {
            assert!(*item != 2, "on purpose");
            *item
        };
        ordered(
            ctx(&cancel, 2),
            &[1, 2, 3],
            || Ok(()),
            work,
            |_| -1,
            |_, r| {
                seen.push(r);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, [1, -1, 3]);
    }

    #[test]
    fn an_error_of_the_sink_ends_the_run_without_hanging() {
        let cancel = CancelToken::default();
        let items: Vec<usize> = (0..300).collect();
        let outcome = ordered(
            ctx(&cancel, 2),
            &items,
            || Ok(()),
            |(), i| *i,
            |_| 0,
            |_, r| {
                if r == 5 {
                    Err(PipelineError::Options("full".to_owned()))
                } else {
                    Ok(())
                }
            },
        );
        assert!(matches!(outcome, Err(PipelineError::Options(_))));
    }

    #[test]
    fn a_worker_without_models_ends_the_run() {
        let cancel = CancelToken::default();
        let broken = || Err::<(), _>(PipelineError::Options("no model".to_owned()));
        let outcome = ordered(
            ctx(&cancel, 2),
            &[1, 2],
            broken,
            |(), i| *i,
            |_| 0,
            |_, _| Ok(()),
        );
        assert!(matches!(outcome, Err(PipelineError::Options(_))));
    }
}
