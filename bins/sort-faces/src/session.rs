//! From command-line context to what the verbs need.

use std::panic;

use anyhow::Context as _;
use faceset_cli::Context;
use faceset_cluster::KernelKind;
use faceset_pipeline::{Ctx, Engine, PipelineError};

use crate::args::EngineArgs;

/// A panic in a decoder is one bad photo, reported as such; its message is
/// noise. Everything else keeps the usual message.
pub fn quiet_decoder_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !faceset_media::is_decoding() {
            usual(info);
        }
    }));
}

/// Runs a verb with the context of this command.
pub fn with_ctx<R>(context: &Context, jobs: Option<usize>, f: impl FnOnce(Ctx<'_>) -> R) -> R {
    let kernel = kernel_from_environment(context);
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let program = program.as_deref().and_then(std::path::Path::file_stem);
    let holder = format!(
        "{}, process {}",
        program.map_or_else(|| "sort-faces".into(), |name| name.to_string_lossy()),
        std::process::id()
    );
    f(Ctx {
        progress: context.progress(),
        cancel: &context.cancel,
        holder: &holder,
        n_workers: jobs
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        current_year: i32::from(jiff::Zoned::now().year()),
        now: jiff::Timestamp::now(),
        kernel,
    })
}

/// `FACE_SETS_KERNEL` overrides the choice of instructions, e.g. to compare
/// them or to get around a fault.
fn kernel_from_environment(context: &Context) -> Option<KernelKind> {
    let text = std::env::var("FACE_SETS_KERNEL")
        .ok()
        .filter(|t| !t.is_empty())?;
    match text.parse::<KernelKind>() {
        Ok(kernel) => Some(kernel),
        Err(error) => {
            context
                .progress()
                .note(&format!("FACE_SETS_KERNEL={text} is ignored: {error}"));
            None
        }
    }
}

/// Loads runtime and models as asked.
///
/// # Errors
/// When a model or the runtime is missing; the message names `doctor`.
pub fn engine(args: &EngineArgs, context: &Context) -> anyhow::Result<Engine> {
    let roots = context.home.model_roots(&args.model_root);
    let libraries = context.home.library_candidates(args.ort_lib.as_deref());
    let engine = Engine::open(&args.choice(), &roots, &libraries)
        .map_err(for_people)
        .context("the models are not ready; `sort-faces doctor` says what is missing")?;
    context.progress().note(&format!(
        "models: {} on {}",
        engine.pack().pack.title,
        engine
            .runtime()
            .library()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
    ));
    Ok(engine)
}

/// Error fragments read after "failed to".
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub fn for_people(error: PipelineError) -> anyhow::Error {
    if error.is_interruption() {
        return anyhow::anyhow!(
            "interrupted; what was done is saved, run the same command again to go on"
        );
    }
    let text = format!("failed to {error}");
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            causes.push(line);
        }
        cause = inner.source();
    }
    if causes.is_empty() {
        anyhow::anyhow!(text)
    } else {
        anyhow::anyhow!("{text}: {}", causes.join(": "))
    }
}
