//! Which provider a run uses, and saying so.

use faceset_cli::{Context, Exit, Failure};
use faceset_infer::{
    Choice, InferError, Provider, Runtime, SelfTest, Wanted, choose, find_library,
};
use faceset_pipeline::Engine;
use serde_json::{Value, json};

use crate::args::EngineArgs;
use crate::probe;
use crate::session::{self, for_people};

/// Workers that share one accelerator when nobody says how many: they decode
/// while it computes, and each has the models in its memory once.
const WORKERS_ON_ACCELERATOR: usize = 4;

/// Flags.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Device")]
pub struct ProviderArgs {
    /// What runs the models: auto, cpu, cuda, directml, openvino, coreml, migraphx, rten. `auto`
    /// takes the fastest that computes what the processor computes, and says why it is no other; a
    /// named one that does not work ends the run with code 3
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = wanted)]
    pub provider: Wanted,
    /// Which of the provider's devices, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub device: u32,
}

fn wanted(text: &str) -> Result<Wanted, String> {
    text.parse().map_err(|e| format!("failed to {e}"))
}

/// Models and the provider that runs them, chosen by self-tests in child
/// processes; the choice is said aloud.
///
/// # Errors
/// When a model is missing, or the provider that was named does not work (exit
/// code 3).
pub fn engine(
    args: &ProviderArgs,
    engine_args: &EngineArgs,
    context: &Context,
) -> anyhow::Result<(Engine, Choice)> {
    if args.provider == Wanted::Named(Provider::Rten) {
        let engine = session::compiled_in(engine_args, context)?;
        return Ok((engine, untested(Provider::Rten)));
    }
    let engine_args = &with_library_for(args.provider, engine_args, context);
    let engine = session::engine(engine_args, context)?;
    let choice = decide(args.provider, engine.runtime(), |provider| {
        probe::in_child(provider, args.device, &engine, engine_args)
    })
    .map_err(|error| no_device(&error))?;
    context.progress().note(&format!("provider: {choice}"));
    let engine = engine
        .with_provider(choice.provider, args.device)
        .map_err(for_people)?;
    Ok((engine, choice))
}

/// Who names OpenVINO and no library means the one that `cargo xtask openvino`
/// brought, if it did. `auto` does not: which of the two is faster on a
/// processor may change from run to run, and caches with it.
fn with_library_for(wanted: Wanted, args: &EngineArgs, context: &Context) -> EngineArgs {
    let mut args = args.clone();
    if wanted == Wanted::Named(Provider::OpenVino) && args.ort_lib.is_none() {
        let folders: Vec<_> = context
            .home
            .roots
            .iter()
            .map(|r| r.join("openvino"))
            .collect();
        args.ort_lib = find_library(&folders);
    }
    args
}

/// The provider that a run with this runtime uses; `probe` gives a self-test, or
/// in one line why there is none.
///
/// # Errors
/// When the one that was named does not work.
pub fn decide(
    wanted: Wanted,
    runtime: &Runtime,
    probe: impl FnMut(Provider) -> Result<SelfTest, String>,
) -> Result<Choice, InferError> {
    let has_library = runtime.provider() != Provider::Rten;
    match wanted {
        Wanted::Named(Provider::Rten) => Ok(untested(Provider::Rten)),
        Wanted::Auto if !has_library => Ok(untested(Provider::Rten)),
        Wanted::Named(provider) if !has_library => Err(InferError::Provider {
            provider: provider.to_string(),
            reason: "there is no ONNX Runtime library; run `cargo xtask setup`, or name one with \
                     --ort-lib"
                .to_owned(),
        }),
        _ => choose(wanted, true, &runtime.available(), probe),
    }
}

/// Taken without asking, since there is nothing to measure it by.
fn untested(provider: Provider) -> Choice {
    Choice {
        provider,
        test: None,
        passed_over: Vec::new(),
        is_fallback: false,
    }
}

fn no_device(error: &InferError) -> anyhow::Error {
    Failure {
        exit: Exit::NoDevice,
        message: format!("failed to {error}; `doctor` says more, --provider auto takes what works"),
    }
    .into()
}

/// Workers for a provider; `None` for one a core.
pub fn workers(choice: &Choice, asked: Option<usize>) -> Option<usize> {
    asked.or_else(|| {
        choice
            .provider
            .is_accelerator()
            .then_some(WORKERS_ON_ACCELERATOR)
    })
}

/// For programs.
pub fn json(choice: &Choice) -> Value {
    let passed_over: Vec<Value> = choice
        .passed_over
        .iter()
        .map(|(provider, reason)| json!({"provider": provider, "reason": reason}))
        .collect();
    json!({
        "provider": choice.provider,
        "self_test": choice.test,
        "passed_over": passed_over,
    })
}
