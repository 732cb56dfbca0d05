//! The circuit breaker: a shared streak of failed calls, and what follows.
//!
//! This is the state machine alone; sending the probe is the transport's work.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// Whether calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// The streak is full: the next call sends the health probe first.
    Suspect,
    /// The probe failed: calls fail at once until the cool-down has passed, then
    /// the next one probes again.
    Open,
}

/// What a caller has to do before its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    Pass,
    ProbeFirst,
    Refuse { streak: u32, last: String },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    cool_down: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streak: u32,
    opened: Option<Instant>,
    /// The item of the last server fault: one broken item asked for again and
    /// again is no outage.
    last_subject: Option<String>,
    /// The last failure's text, for the message of a refused call.
    last: String,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, cool_down: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            cool_down,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("no code panics while it holds the breaker's lock")
    }

    pub(crate) fn state(&self) -> BreakerState {
        let inner = self.lock();
        match inner.opened {
            Some(_) => BreakerState::Open,
            None if inner.streak >= self.threshold => BreakerState::Suspect,
            None => BreakerState::Closed,
        }
    }

    pub(crate) fn admission(&self) -> Admission {
        let inner = self.lock();
        match inner.opened {
            Some(since) if since.elapsed() < self.cool_down => Admission::Refuse {
                streak: inner.streak,
                last: inner.last.clone(),
            },
            None if inner.streak < self.threshold => Admission::Pass,
            _ => Admission::ProbeFirst,
        }
    }

    /// A well-formed answer came, be it "no": the server lives.
    pub(crate) fn alive(&self) {
        *self.lock() = Inner::default();
    }

    /// A call failed for good by an outage.
    pub(crate) fn outage(&self, what: String) {
        let mut inner = self.lock();
        inner.streak = inner.streak.saturating_add(1);
        inner.last = what;
    }

    /// A call failed for good by a server fault (500) on `subject`. Counts once
    /// for faults in a row on the same subject.
    pub(crate) fn fault(&self, subject: &str, what: String) {
        let mut inner = self.lock();
        if inner.last_subject.as_deref() != Some(subject) {
            inner.streak = inner.streak.saturating_add(1);
            inner.last_subject = Some(subject.to_owned());
            inner.last = what;
        }
    }

    /// The health probe failed. Returns the length of the streak.
    pub(crate) fn open(&self) -> (u32, String) {
        let mut inner = self.lock();
        inner.opened = Some(Instant::now());
        (inner.streak, inner.last.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL: Duration = Duration::from_secs(30);

    #[test]
    fn twelfth_failure_in_a_row_asks_for_a_probe_and_the_eleventh_does_not() {
        let breaker = Breaker::new(12, COOL);
        for _ in 0..11 {
            breaker.outage("refused".into());
        }
        assert_eq!(breaker.admission(), Admission::Pass);
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.outage("refused".into());
        assert_eq!(breaker.admission(), Admission::ProbeFirst);
        assert_eq!(breaker.state(), BreakerState::Suspect);
    }

    #[test]
    fn any_answer_resets_the_streak() {
        let breaker = Breaker::new(2, COOL);
        breaker.outage("a".into());
        breaker.alive();
        breaker.outage("b".into());
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn faults_count_per_different_item_only() {
        let breaker = Breaker::new(3, COOL);
        for _ in 0..10 {
            breaker.fault("a", "500".into());
        }
        breaker.fault("b", "500".into());
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.fault("a", "500".into());
        assert_eq!(breaker.state(), BreakerState::Suspect);
    }

    #[test]
    fn open_refuses_until_the_cool_down_and_an_answer_closes_it() {
        let breaker = Breaker::new(1, Duration::ZERO);
        breaker.outage("hangs".into());
        assert_eq!(breaker.open(), (1, "hangs".into()));
        assert_eq!(breaker.state(), BreakerState::Open);
        // No cool-down left: probe again.
        assert_eq!(breaker.admission(), Admission::ProbeFirst);
        breaker.alive();
        assert_eq!(breaker.admission(), Admission::Pass);

        let breaker = Breaker::new(1, COOL);
        breaker.outage("hangs".into());
        breaker.open();
        let refuse = Admission::Refuse {
            streak: 1,
            last: "hangs".into(),
        };
        assert_eq!(breaker.admission(), refuse);
    }
}
