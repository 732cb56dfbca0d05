//! Misbehaviour on demand: which request gets which fault.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::mix;

/// One way to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status: JSON as the server writes it for 500, a proxy's page otherwise.
    Status(u16),
    /// This status with this `Retry-After`.
    RetryAfter(u16, String),
    /// The connection breaks without an answer.
    Reset,
    /// The request is carried out, and then the connection breaks without an answer.
    LostAnswer,
    /// No answer, ever.
    Hang,
    /// The answer comes after this time.
    Slow(Duration),
    /// The head promises the whole body, half of it comes, then the connection breaks.
    CutOff,
    /// Half of the body, with a head that fits it.
    Shortened,
    /// The last byte of the body is another one.
    WrongByte,
    /// 500 with an image's content type around JSON, as for a file missing on disk.
    ImageTypedError,
    /// 200 with a web page.
    WebPage,
    /// 200 with this JSON; the request is not carried out.
    Pretend(String),
    /// This status with the request's API key in the text.
    EchoKey(u16),
    /// 302 to this address.
    Redirect(String),
}

/// A fault for some requests.
#[derive(Debug)]
struct Rule {
    /// A part of "METHOD /path?query".
    part: String,
    left: u32,
    fault: Fault,
}

/// Random faults, the same ones for the same requests whatever their order: a
/// request's n-th sending is decided by the seed, its text and n.
#[derive(Debug, Clone)]
pub struct RandomFaults {
    /// Seed.
    pub seed: u64,
    /// Requests in a thousand that go wrong.
    pub per_mille: u32,
    /// What they get, one at random.
    pub kinds: Vec<Fault>,
}

#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    rules: Vec<Rule>,
    random: Option<RandomFaults>,
    sendings: HashMap<u64, u32>,
    pub(crate) latency: Duration,
    pub(crate) maintenance: bool,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, part: &str, times: u32, fault: Fault) {
        self.rules.push(Rule {
            part: part.to_owned(),
            left: times,
            fault,
        });
    }

    pub(crate) fn set_random(&mut self, random: Option<RandomFaults>) {
        self.random = random;
        self.sendings.clear();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault for a request: the first rule that fits, else chance.
    pub(crate) fn draw(&mut self, request: &str, body: &[u8]) -> Option<Fault> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.left > 0 && request.contains(&rule.part));
        if let Some(rule) = rule {
            rule.left -= 1;
            return Some(rule.fault.clone());
        }
        let random = self.random.as_ref()?;
        let text = request.bytes().chain(body.iter().copied());
        let hash = text.fold(random.seed, |h, byte| mix(h ^ u64::from(byte)));
        let nth = self.sendings.entry(hash).or_insert(0);
        *nth += 1;
        let dice = mix(hash ^ u64::from(*nth).rotate_left(32));
        if dice % 1000 >= u64::from(random.per_mille) || random.kinds.is_empty() {
            return None;
        }
        let kind = (dice / 1000) as usize % random.kinds.len();
        Some(random.kinds[kind].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_fit_by_part_and_run_out() {
        let mut plan = FaultPlan::default();
        plan.add("GET /api/faces", 2, Fault::Reset);
        assert_eq!(plan.draw("GET /api/people", b""), None);
        assert_eq!(plan.draw("GET /api/faces?id=1", b""), Some(Fault::Reset));
        assert_eq!(plan.draw("GET /api/faces?id=2", b""), Some(Fault::Reset));
        assert_eq!(plan.draw("GET /api/faces?id=3", b""), None);
    }

    #[test]
    fn chance_does_not_depend_on_the_order_of_requests() {
        let random = RandomFaults {
            seed: 3,
            per_mille: 300,
            kinds: vec![Fault::Reset, Fault::Status(502)],
        };
        let draw_all = |order: &mut dyn Iterator<Item = u32>| {
            let mut plan = FaultPlan::default();
            plan.set_random(Some(random.clone()));
            let mut drawn: Vec<_> = order
                .map(|n| (n, plan.draw(&format!("GET /{n}"), b"")))
                .collect();
            drawn.sort_by_key(|(n, _)| *n);
            drawn
        };
        let forward = draw_all(&mut (0..500));
        assert_eq!(forward, draw_all(&mut (0..500).rev()));
        let n_faults = forward.iter().filter(|(_, fault)| fault.is_some()).count();
        assert!((110..190).contains(&n_faults), "{n_faults} of 500 at 30 %");
    }
}
