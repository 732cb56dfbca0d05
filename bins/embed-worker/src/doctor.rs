//! `doctor`: runtime, providers and models, and what is wrong with each.

use faceset_cli::{Context, Exit, Report};
use faceset_infer::{Provider, Purpose, Wanted};
use faceset_pipeline::Engine;
use serde_json::json;
use sort_faces::args::EngineArgs;
use sort_faces::session::{NO_LIBRARY, for_people, open};

use sort_faces::probe;
use sort_faces::provider::{self, ProviderArgs};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    provider: ProviderArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it. Ends with 0 when a run could start, with 3 when the provider that
/// was named does not work, with 1 when runtime or models are missing.
pub(crate) fn run(args: &Args, context: &Context) -> Report {
    let opened = open(&args.engine, context).and_then(|engine| {
        engine.analyzer(Purpose::All)?;
        Ok(engine)
    });
    let engine = match opened {
        Ok(engine) => engine,
        Err(error) => {
            let reason = for_people(error).to_string();
            return Report {
                text: format!("MISSING {reason}\nnot ready"),
                json: json!({"command": "embed-worker doctor", "ready": false, "reason": reason}),
                exit: Exit::Error,
            };
        }
    };
    describe(args, &engine)
}

fn describe(args: &Args, engine: &Engine) -> Report {
    let runtime = engine.runtime();
    let has_library = runtime.provider() != Provider::Rten;
    let available = runtime.available();
    let names: Vec<&str> = available.iter().map(|p| p.name()).collect();
    let mut lines = vec![
        format!("ok      embed-worker {}", env!("CARGO_PKG_VERSION")),
        if has_library {
            let (library, build) = (runtime.library().display(), runtime.build_info());
            format!("ok      runtime library: {library}, {build}")
        } else {
            format!("absent  {NO_LIBRARY}")
        },
        format!("ok      built with: {}", names.join(", ")),
        format!("ok      models: {}", engine.pack().pack.title),
    ];
    let directml = runtime.library().with_file_name("DirectML.dll");
    if available.contains(&Provider::DirectMl) {
        let found = if directml.is_file() {
            format!("ok      {}", directml.display())
        } else {
            format!("absent  {}: Windows' own is older", directml.display())
        };
        lines.push(found);
    }
    // Every provider is tried, whichever is wanted: that is the question here.
    let mut tests = Vec::new();
    let here = [Provider::Cpu, Provider::Rten];
    for provider in available.iter().copied().filter(|p| !here.contains(p)) {
        let outcome = probe::in_child(provider, args.provider.device, engine, &args.engine);
        lines.push(match &outcome {
            Ok(test) if test.problems().is_empty() => format!("ok      {test}"),
            Ok(test) => format!("WRONG   {test}: {}", test.problems().join(", ")),
            Err(reason) => format!("absent  {provider}: {reason}"),
        });
        tests.push((provider, outcome));
    }
    let chosen = provider::decide(args.provider.provider, runtime, |provider| {
        tests
            .iter()
            .find(|(p, _)| *p == provider)
            .map_or_else(|| Err("not tested".to_owned()), |(_, test)| test.clone())
    });
    let (line, choice, exit) = match &chosen {
        Ok(choice) => (
            format!("ready: a run uses {}", choice.provider),
            provider::json(choice),
            Exit::Ok,
        ),
        Err(error) => (
            format!("not ready: failed to {error}"),
            json!({"reason": error.to_string()}),
            Exit::NoDevice,
        ),
    };
    lines.push(line);
    let wanted = match args.provider.provider {
        Wanted::Auto => "auto",
        Wanted::Named(provider) => provider.name(),
    };
    Report {
        text: lines.join("\n"),
        json: json!({
            "command": "embed-worker doctor",
            "ready": exit == Exit::Ok,
            "library": runtime.library(),
            "library_build": runtime.build_info(),
            "available": available,
            "pack": engine.pack().pack.name,
            "wanted": wanted,
            "device": choice,
            "tests": tests.iter().map(|(provider, test)| json!({
                "provider": provider,
                "self_test": test.as_ref().ok(),
                "reason": test.as_ref().err(),
            })).collect::<Vec<_>>(),
        }),
        exit,
    }
}
