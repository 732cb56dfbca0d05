//! Which provider a run uses, and saying so.

use faceset_cli::{Context, Exit, Failure};
use faceset_infer::{Choice, Wanted, choose};
use faceset_pipeline::Engine;
use serde_json::{Value, json};
use sort_faces::args::EngineArgs;
use sort_faces::session::for_people;

use crate::probe;

/// Workers that share one accelerator when nobody says how many: they decode
/// while it computes, and each has the models in its memory once.
const WORKERS_ON_ACCELERATOR: usize = 4;

/// Flags.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Device")]
pub(crate) struct ProviderArgs {
    /// What runs the models: auto, cpu, cuda, directml, openvino, coreml, migraphx. `auto` takes
    /// the fastest that computes what the processor computes, and says why it is no other; a
    /// named one that does not work ends the run with code 3
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = wanted)]
    pub(crate) provider: Wanted,
    /// Which of the provider's devices, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) device: u32,
}

fn wanted(text: &str) -> Result<Wanted, String> {
    text.parse().map_err(|e| format!("failed to {e}"))
}

/// Chooses by self-tests in child processes.
pub(crate) fn choice(
    args: &ProviderArgs,
    engine: &Engine,
    engine_args: &EngineArgs,
) -> anyhow::Result<Choice> {
    let available = engine.runtime().available();
    choose(args.provider, true, &available, |provider| {
        probe::in_child(provider, args.device, engine, engine_args)
    })
    .map_err(|error| no_device(&error))
}

fn no_device(error: &faceset_infer::InferError) -> anyhow::Error {
    Failure {
        exit: Exit::NoDevice,
        message: format!(
            "failed to {error}; `embed-worker doctor` says more, --provider auto takes what works"
        ),
    }
    .into()
}

/// The engine on the provider that was chosen, which is said aloud.
pub(crate) fn engine_on(
    args: &ProviderArgs,
    engine: Engine,
    engine_args: &EngineArgs,
    context: &Context,
) -> anyhow::Result<(Engine, Choice)> {
    let choice = choice(args, &engine, engine_args)?;
    context.progress().note(&format!("provider: {choice}"));
    let engine = engine
        .with_provider(choice.provider, args.device)
        .map_err(for_people)?;
    Ok((engine, choice))
}

/// Workers for a provider.
pub(crate) fn workers(choice: &Choice, asked: Option<usize>) -> Option<usize> {
    asked.or_else(|| {
        choice
            .provider
            .is_accelerator()
            .then_some(WORKERS_ON_ACCELERATOR)
    })
}

/// For programs.
pub(crate) fn json(choice: &Choice) -> Value {
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
