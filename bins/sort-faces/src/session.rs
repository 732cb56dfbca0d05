//! From command-line context to what the verbs need.

use std::panic;

use anyhow::Context as _;
use faceset_cli::Context;
use faceset_cluster::KernelKind;
use faceset_infer::{Provider, find_library};
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

/// What a run without a library says.
pub const NO_LIBRARY: &str = "no ONNX Runtime library: using the kernels that are compiled in, \
     two to seven times slower; `cargo xtask setup` brings the library";

/// Loads runtime and models as asked. Without a library, and none named, the
/// kernels that are compiled in serve, which is said.
///
/// # Errors
/// When a model is missing, or the library that was named; the message names
/// `doctor`.
pub fn engine(args: &EngineArgs, context: &Context) -> anyhow::Result<Engine> {
    let opened = open(args, context);
    if opened
        .as_ref()
        .is_ok_and(|engine| engine.runtime().provider() == Provider::Rten)
    {
        context.progress().note(NO_LIBRARY);
    }
    ready(opened, context)
}

/// As [`engine`], without a word.
///
/// # Errors
/// When a model is missing or can't be used so, or the library that was named.
pub fn open(args: &EngineArgs, context: &Context) -> Result<Engine, PipelineError> {
    let libraries = context.home.library_candidates(args.ort_lib.as_deref());
    let roots = context.home.model_roots(&args.model_root);
    let opened = if args.ort_lib.is_none() && find_library(&libraries).is_none() {
        Engine::open_compiled_in(&args.choice(), &roots)
    } else {
        Engine::open(&args.choice(), &roots, &libraries)
    };
    opened?.with_variant(args.variant)
}

/// Models on the kernels that are compiled in.
///
/// # Errors
/// When a model is missing; the message names `doctor`.
pub fn compiled_in(args: &EngineArgs, context: &Context) -> anyhow::Result<Engine> {
    let roots = context.home.model_roots(&args.model_root);
    let opened = Engine::open_compiled_in(&args.choice(), &roots)
        .and_then(|engine| engine.with_variant(args.variant));
    ready(opened, context)
}

fn ready(opened: Result<Engine, PipelineError>, context: &Context) -> anyhow::Result<Engine> {
    let engine = opened
        .map_err(for_people)
        .context("the models are not ready; `sort-faces doctor` says what is missing")?;
    let variant = engine.pack().variant();
    context.progress().note(&format!(
        "models: {}{} on {}",
        engine.pack().pack.title,
        if variant.is_plain() {
            String::new()
        } else {
            format!(", variant {variant},")
        },
        match engine.runtime().library().file_name() {
            Some(library) => library.to_string_lossy().into_owned(),
            None => engine.runtime().build_info(),
        }
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
