//! How often and after which wait a failed call is sent again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When to repeat a call that is safe to repeat.
///
/// The wait before retry `n` (from 1) lies between half and all of
/// `base * factor^(n-1)`, at most `max_delay`; where in between is drawn from the
/// seed of the client, so that many workers do not return in step. A longer
/// `Retry-After` of the server wins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt. Default 3, as the original tool had.
    pub max_retries: u32,
    /// Longest wait before the first retry. Default 1 s.
    pub base: Duration,
    /// Growth per retry. Default 2.0, as the original tool had.
    pub factor: f64,
    /// Longest wait that we choose. Default 30 s: a restarting server was seen
    /// to be back after 25 s.
    pub max_delay: Duration,
    /// Longest `Retry-After` obeyed; when the server asks for more, the call fails
    /// at once and the error carries the wish. Equal is obeyed. Default 120 s.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            base: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_secs(30),
            max_retry_after: Duration::from_mins(2),
        }
    }
}

impl RetryPolicy {
    /// The wait before retry `retry` (from 1); `unit` in 0..1 places it between
    /// half and all of the current step.
    pub fn delay(&self, retry: u32, unit: f64) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let cap = self.max_delay.as_secs_f64();
        // `min` also turns an overflow to infinity into the cap.
        let step = (self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent)).min(cap);
        Duration::from_secs_f64(step * (0.5 + 0.5 * unit.clamp(0.0, 1.0)))
    }
}

/// Numbers in 0..1 from a seed (SplitMix64), shared by all tasks of a client.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

/// SplitMix64's increment: the odd number nearest to 2^64 over the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next_unit(&self) -> f64 {
        let mut z = self
            .0
            .fetch_add(GAMMA, Ordering::Relaxed)
            .wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // 53 bits fill the mantissa of an f64 exactly.
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_half_to_the_full_step_and_stop_at_the_cap() {
        let policy = RetryPolicy::default();
        let ms = |retry, unit| policy.delay(retry, unit).as_millis();
        assert_eq!([ms(1, 0.0), ms(1, 1.0)], [500, 1000]);
        assert_eq!([ms(2, 0.0), ms(2, 0.5)], [1000, 1500]);
        assert_eq!([ms(3, 1.0), ms(5, 1.0)], [4000, 16_000]);
        assert_eq!([ms(6, 1.0), ms(u32::MAX, 1.0)], [30_000, 30_000]);
    }

    #[test]
    fn jitter_repeats_for_a_seed_and_stays_in_the_unit_interval() {
        let draw = |seed| {
            let jitter = Jitter::new(seed);
            (0..1000).map(|_| jitter.next_unit()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let values = draw(7);
        assert!(values.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = values.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "mean {mean}");
        // First output of SplitMix64 for seed 0, from the algorithm's paper code:
        // 0xE220A8397B1DCDAF.
        let first = Jitter::new(0).next_unit();
        assert_eq!(
            first,
            (0xE220_A839_7B1D_CDAFu64 >> 11) as f64 / (1u64 << 53) as f64
        );
    }
}
