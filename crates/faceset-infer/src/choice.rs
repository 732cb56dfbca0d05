//! Which provider a run uses, decided from what probes say.
//!
//! Running a probe, usually in a child process, is the caller's work.

use std::fmt;
use std::str::FromStr;

use crate::{InferError, Provider, SelfTest};

/// What somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The fastest that computes what the processor computes.
    Auto,
    /// This one, also when it is slower than the processor.
    Named(Provider),
}

impl FromStr for Wanted {
    type Err = InferError;

    /// Takes `auto` and the names of providers.
    fn from_str(text: &str) -> Result<Self, InferError> {
        if text.eq_ignore_ascii_case("auto") {
            Ok(Self::Auto)
        } else {
            text.parse().map(Self::Named)
        }
    }
}

/// The provider of a run, and why it is no other.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What the run uses.
    pub provider: Provider,
    /// What its self-test showed; `None` for the processor, which is the
    /// measure.
    pub test: Option<SelfTest>,
    /// Those that were tried first or asked for, and what was wrong with each.
    pub passed_over: Vec<(Provider, String)>,
    /// True when another one was asked for by name: to be said aloud.
    pub is_fallback: bool,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            Some(test) => write!(f, "{test}")?,
            None => write!(f, "{}", self.provider)?,
        }
        for (provider, reason) in &self.passed_over {
            write!(f, "; not {provider}: {reason}")?;
        }
        Ok(())
    }
}

/// Tries providers in order and takes the first that will do.
///
/// `available` is what [`crate::Runtime::available`] says; `probe` runs a
/// provider's self-test and gives its result, or in one line why there is none.
/// With [`Wanted::Auto`], one must compute the right thing and be faster than a
/// thread of the processor. A named one must compute the right thing; when it
/// does not, the processor is taken, or with `strict` the run refused.
///
/// # Errors
/// [`InferError::Provider`] with `strict` when the named one will not do.
pub fn choose(
    wanted: Wanted,
    strict: bool,
    available: &[Provider],
    mut probe: impl FnMut(Provider) -> Result<SelfTest, String>,
) -> Result<Choice, InferError> {
    let mut passed_over = Vec::new();
    let candidates = match wanted {
        Wanted::Auto => available.to_vec(),
        Wanted::Named(provider) => vec![provider],
    };
    for provider in candidates.into_iter().filter(|p| *p != Provider::Cpu) {
        let outcome = if available.contains(&provider) {
            probe(provider)
        } else {
            Err("the runtime library was built without it".to_owned())
        };
        let reason = match outcome {
            Err(reason) => reason,
            Ok(test) => {
                let problems = test.problems();
                if !problems.is_empty() {
                    problems.join(", ")
                } else if wanted == Wanted::Auto && test.speedup() <= 1.0 {
                    format!(
                        "no faster than the processor ({:.1} ms against {:.1} ms)",
                        test.provider_ms, test.cpu_ms
                    )
                } else {
                    return Ok(Choice {
                        provider,
                        test: Some(test),
                        passed_over,
                        is_fallback: false,
                    });
                }
            }
        };
        if strict && wanted == Wanted::Named(provider) {
            return Err(InferError::Provider {
                provider: provider.to_string(),
                reason,
            });
        }
        passed_over.push((provider, reason));
    }
    Ok(Choice {
        provider: Provider::Cpu,
        test: None,
        is_fallback: !matches!(wanted, Wanted::Auto | Wanted::Named(Provider::Cpu)),
        passed_over,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: [Provider; 3] = [Provider::Cuda, Provider::OpenVino, Provider::Cpu];

    fn test(provider: Provider, worst_cosine: f64, provider_ms: f64) -> SelfTest {
        SelfTest {
            provider,
            device: 0,
            library: "made up".to_owned(),
            n_faces: 8,
            worst_cosine,
            worst_detector_difference: 0.0,
            worst_points_px: 0.0,
            whole: true,
            cpu_ms: 40.0,
            provider_ms,
        }
    }

    #[test]
    fn auto_takes_the_first_that_is_right_and_faster() {
        let choice = choose(Wanted::Auto, true, &LIBRARY, |p| match p {
            Provider::Cuda => Err("no driver".to_owned()),
            other => Ok(test(other, 1.0, 39.9)),
        })
        .unwrap();
        assert_eq!(choice.provider, Provider::OpenVino);
        assert_eq!(
            choice.passed_over,
            [(Provider::Cuda, "no driver".to_owned())]
        );
        assert!(!choice.is_fallback && choice.test.is_some());
    }

    #[test]
    fn auto_passes_over_what_is_wrong_or_not_faster_and_says_both() {
        let choice = choose(Wanted::Auto, false, &LIBRARY, |p| match p {
            Provider::Cuda => Ok(test(p, 0.9, 4.0)),
            other => Ok(test(other, 1.0, 40.0)),
        })
        .unwrap();
        assert_eq!(
            (choice.provider, choice.is_fallback),
            (Provider::Cpu, false)
        );
        let said = choice.to_string();
        assert!(
            said.contains("cosine 0.9") && said.contains("no faster"),
            "{said}"
        );
    }

    #[test]
    fn a_named_one_may_be_slow_and_nothing_else_is_probed() {
        let mut asked = Vec::new();
        let choice = choose(Wanted::Named(Provider::OpenVino), false, &LIBRARY, |p| {
            asked.push(p);
            Ok(test(p, 1.0, 400.0))
        })
        .unwrap();
        assert_eq!(choice.provider, Provider::OpenVino);
        assert_eq!(asked, [Provider::OpenVino]);
    }

    #[test]
    fn a_named_one_that_fails_is_a_fallback_said_aloud_or_a_refusal() {
        let crash = |_| Err("the probe crashed".to_owned());
        let wanted = Wanted::Named(Provider::Cuda);
        let choice = choose(wanted, false, &LIBRARY, crash).unwrap();
        assert_eq!((choice.provider, choice.is_fallback), (Provider::Cpu, true));
        let error = choose(wanted, true, &LIBRARY, crash).unwrap_err();
        assert!(error.to_string().contains("the probe crashed"), "{error}");
    }

    #[test]
    fn one_that_the_library_lacks_is_not_even_probed() {
        let choice = choose(Wanted::Named(Provider::DirectMl), false, &LIBRARY, |_| {
            panic!("nothing to probe")
        })
        .unwrap();
        assert!(choice.is_fallback);
        assert!(choice.to_string().contains("built without it"));
    }

    #[test]
    fn the_processor_by_name_is_no_fallback() {
        let choice = choose(Wanted::Named(Provider::Cpu), true, &LIBRARY, |_| {
            panic!("nothing to probe")
        })
        .unwrap();
        assert_eq!(
            (choice.provider, choice.is_fallback),
            (Provider::Cpu, false)
        );
        assert_eq!("AUTO".parse::<Wanted>().unwrap(), Wanted::Auto);
        assert_eq!(
            "dml".parse::<Wanted>().unwrap(),
            Wanted::Named(Provider::DirectMl)
        );
    }
}
