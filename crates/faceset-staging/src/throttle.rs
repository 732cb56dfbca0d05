//! How many requests may be under way at once: as many as make the work go faster.
//!
//! A pure state machine; the caller says how long a window of requests took.

/// Requests at once when a run begins: the original tool's number of threads.
pub const START_LIMIT: usize = 8;
/// Default of the most requests at once.
pub const DEFAULT_CEILING: usize = 64;
/// A window is over after this many requests for each that may be under way ...
const WINDOW_TURNS: usize = 4;
/// ... but not before this many: fewer tell nothing.
const MIN_WINDOW: usize = 24;
/// A step up must bring this share of what it would bring if nothing stood in the way,
/// or it is taken back. Chosen: clearly above the noise of a window, below which more
/// requests only wait for each other.
const WORTHWHILE_SHARE: f64 = 0.4;
/// Windows of rest after a step that brought nothing, before the next is tried.
const REST_WINDOWS: u32 = 8;
/// A step up, as a ratio.
const GROWTH: f64 = 1.5;

/// The limit and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttle {
    limit: usize,
    ceiling: usize,
    done_in_window: usize,
    distress: bool,
    /// The step under trial: limit and rate before it.
    trial: Option<(usize, f64)>,
    rest: u32,
}

impl Throttle {
    /// Starts at [`START_LIMIT`] or the ceiling, whichever is less. A ceiling of 0
    /// counts as 1.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            limit: START_LIMIT.min(ceiling),
            ceiling,
            done_in_window: 0,
            distress: false,
            trial: None,
            rest: 1,
        }
    }

    /// Requests that may be under way now, at least 1.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// One more request is done; `distress` when the server refused or broke off
    /// meanwhile. Returns true when a window is full: then call
    /// [`Throttle::close_window`].
    pub fn done(&mut self, distress: bool) -> bool {
        self.done_in_window += 1;
        self.distress |= distress;
        self.done_in_window >= MIN_WINDOW.max(self.limit * WINDOW_TURNS)
    }

    /// Decides on the next limit. `seconds` is how long the window took while there was
    /// work for every request allowed; `None` when there was not, which says nothing of
    /// the server.
    pub fn close_window(&mut self, seconds: Option<f64>) {
        let done = std::mem::take(&mut self.done_in_window);
        let distress = std::mem::take(&mut self.distress);
        if distress {
            self.limit = (self.limit / 2).max(1);
            self.trial = None;
            self.rest = REST_WINDOWS;
            return;
        }
        let Some(seconds) = seconds.filter(|s| *s > 0.0) else {
            self.trial = None;
            return;
        };
        let rate = done as f64 / seconds;
        if let Some((before, rate_before)) = self.trial.take()
            && rate < rate_before * worthwhile(before, self.limit)
        {
            self.limit = before;
            self.rest = REST_WINDOWS;
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            if self.rest > 0 {
                return;
            }
        }
        let next = ((self.limit as f64 * GROWTH).ceil() as usize).min(self.ceiling);
        if next > self.limit {
            self.trial = Some((self.limit, rate));
            self.limit = next;
        }
    }
}

/// The growth of the rate that makes the step from `before` to `after` worth keeping.
fn worthwhile(before: usize, after: usize) -> f64 {
    1.0 + WORTHWHILE_SHARE * (after as f64 / before as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs windows against a server that serves `rate(limit)` requests a second.
    fn settle(throttle: &mut Throttle, windows: usize, rate: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut limits = Vec::new();
        for _ in 0..windows {
            let mut n = 1.0;
            while !throttle.done(false) {
                n += 1.0;
            }
            let seconds = n / rate(throttle.limit());
            throttle.close_window(Some(seconds));
            limits.push(throttle.limit());
        }
        limits
    }

    #[test]
    fn a_server_that_only_needs_time_is_asked_up_to_the_ceiling() {
        let mut throttle = Throttle::new(64);
        assert_eq!(throttle.limit(), 8);
        let limits = settle(&mut throttle, 12, |limit| limit as f64 * 50.0);
        assert_eq!(limits[..5], [12, 18, 27, 41, 62]);
        assert_eq!(limits[11], 64);
    }

    #[test]
    fn a_server_that_serves_a_fixed_number_is_not_pressed_further() {
        let mut throttle = Throttle::new(64);
        // Eight already saturate it: the first step brings nothing and is taken back.
        let limits = settle(&mut throttle, 8, |_| 300.0);
        assert_eq!(limits[0], 12);
        assert!(limits[1..8].iter().all(|limit| *limit == 8), "{limits:?}");
    }

    #[test]
    fn a_step_is_tried_again_after_a_rest() {
        let mut throttle = Throttle::new(64);
        settle(&mut throttle, 2, |_| 300.0);
        let limits = settle(&mut throttle, 8, |limit| limit as f64 * 50.0);
        assert_eq!(limits[6], 8);
        assert_eq!(limits[7], 12);
    }

    #[test]
    fn distress_halves_the_limit_down_to_one() {
        let mut throttle = Throttle::new(64);
        for expected in [4, 2, 1, 1] {
            while !throttle.done(true) {}
            throttle.close_window(Some(1.0));
            assert_eq!(throttle.limit(), expected);
        }
    }

    #[test]
    fn the_ceiling_holds_from_the_start_and_zero_is_one() {
        assert_eq!(Throttle::new(3).limit(), 3);
        assert_eq!(Throttle::new(0).limit(), 1);
        let mut throttle = Throttle::new(10);
        let limits = settle(&mut throttle, 6, |limit| limit as f64);
        assert!(limits.iter().all(|limit| *limit <= 10));
        assert_eq!(limits[0], 10);
    }

    #[test]
    fn windows_without_enough_work_change_nothing() {
        let mut throttle = Throttle::new(64);
        while !throttle.done(false) {}
        throttle.close_window(None);
        assert_eq!(throttle.limit(), 8);
    }
}
