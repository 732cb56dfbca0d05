//! `doctor`: what is there, what is missing, how to mend it.

use std::path::PathBuf;

use faceset_cli::{Context, Exit, Report};
use faceset_cluster::KernelKind;
use faceset_infer::{Pack, Purpose, Runtime, find_library};
use faceset_media::JPEG_VECTOR_CODE;
use faceset_pipeline::PackChoice;
use serde::Serialize;

use super::json;
use crate::args::EngineArgs;
use crate::session::{for_people, open};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder whose disk is checked
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
}

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    /// Needed for the main job, not only useful.
    needed: bool,
    detail: String,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> Report {
    let mut findings = Vec::new();
    let roots = context.home.model_roots(&args.engine.model_root);
    let libraries = context
        .home
        .library_candidates(args.engine.ort_lib.as_deref());
    let runtime = find_library(&libraries);
    findings.push(match &runtime {
        None => Finding {
            what: "runtime library".to_owned(),
            ok: false,
            needed: args.engine.ort_lib.is_some(),
            detail:
                "none found: the kernels that are compiled in serve, two to seven times slower; \
                     run `cargo xtask setup`, or name one with --ort-lib"
                    .to_owned(),
        },
        Some(path) => match Runtime::load(path) {
            Ok(loaded) => Finding {
                what: "runtime library".to_owned(),
                ok: true,
                needed: true,
                detail: format!("{}, {}", path.display(), loaded.build_info()),
            },
            Err(error) => Finding {
                what: "runtime library".to_owned(),
                ok: false,
                needed: true,
                detail: error.to_string(),
            },
        },
    });
    findings.push(Finding {
        what: "execution providers".to_owned(),
        ok: true,
        needed: false,
        detail: match runtime.as_deref().map(Runtime::load) {
            Some(Ok(loaded)) => {
                let names: Vec<_> = loaded.available().iter().map(|p| p.name()).collect();
                format!("this library was built with {}", names.join(", "))
            }
            _ => "rten alone without a runtime library".to_owned(),
        },
    });
    for name in Pack::built_in_names() {
        let located = Pack::built_in(name).and_then(|pack| pack.locate(&roots));
        findings.push(match located {
            Ok(pack) => Finding {
                what: format!("pack {name}"),
                ok: true,
                needed: false,
                detail: format!(
                    "{}; {}{}",
                    pack.models.values().next().map_or_else(String::new, |m| {
                        m.path.parent().unwrap_or(&m.path).display().to_string()
                    }),
                    pack.pack.licence,
                    if pack.can_enrich() {
                        ""
                    } else {
                        "; without landmark models"
                    }
                ),
            },
            Err(error) => Finding {
                what: format!("pack {name}"),
                ok: false,
                needed: false,
                detail: error.to_string(),
            },
        });
    }
    findings.push(default_pack(args, context));
    findings.push(Finding {
        what: "clustering".to_owned(),
        ok: true,
        needed: true,
        detail: format!("kernel {} (FACE_SETS_KERNEL overrides)", KernelKind::best()),
    });
    findings.push(jpeg_decoding());
    findings.push(disk_space(&args.folder));
    let ready = findings.iter().all(|f| f.ok || !f.needed);
    let text: Vec<String> = findings
        .iter()
        .map(|f| {
            let mark = match (f.ok, f.needed) {
                (true, _) => "ok     ",
                (false, true) => "MISSING",
                (false, false) => "absent ",
            };
            format!("{mark} {}: {}", f.what, f.detail)
        })
        .collect();
    let verdict = if ready {
        "ready"
    } else {
        "not ready: mend what is MISSING"
    };
    Report {
        text: format!("{}\n{verdict}", text.join("\n")),
        json: json(
            "doctor",
            &serde_json::json!({"ready": ready, "findings": findings}),
        ),
        exit: if ready { Exit::Ok } else { Exit::Error },
    }
}

fn jpeg_decoding() -> Finding {
    Finding {
        what: "JPEG decoding".to_owned(),
        ok: JPEG_VECTOR_CODE,
        needed: false,
        detail: if JPEG_VECTOR_CODE {
            "libjpeg with vector code".to_owned()
        } else {
            "libjpeg without vector code, slower: build with nasm on the PATH".to_owned()
        },
    }
}

/// Below this an embedding of a large library may not fit: a cache of a million
/// faces takes about 2.5 GB, copies of photos much more.
const LITTLE_SPACE_BYTES: u64 = 2 << 30;

fn disk_space(folder: &std::path::Path) -> Finding {
    let what = format!("disk space of {}", folder.display());
    match fs4::available_space(folder) {
        Ok(bytes) => Finding {
            what,
            ok: bytes >= LITTLE_SPACE_BYTES,
            needed: false,
            detail: format!(
                "{:.1} GB free{}",
                bytes as f64 / 1e9,
                if bytes < LITTLE_SPACE_BYTES {
                    "; little for a large library"
                } else {
                    ""
                }
            ),
        },
        Err(error) => Finding {
            what,
            ok: false,
            needed: false,
            detail: error.to_string(),
        },
    }
}

/// Loads the models that a run would use.
fn default_pack(args: &Args, context: &Context) -> Finding {
    let choice = args.engine.choice();
    let chosen = match &choice {
        PackChoice::Default => "pack in use".to_owned(),
        PackChoice::Named(name) => format!("pack in use ({name})"),
        PackChoice::File(path) => format!("pack in use ({})", path.display()),
    };
    let loaded = open(&args.engine, context).and_then(|engine| {
        engine.analyzer(Purpose::All)?;
        let pack = &engine.pack().pack;
        let t = pack.thresholds;
        Ok(format!(
            "{}, recommended distances: cluster {}, match {}",
            pack.title, t.cluster, t.r#match
        ))
    });
    match loaded {
        Ok(title) => Finding {
            what: chosen,
            ok: true,
            needed: true,
            detail: format!("{title}; models load"),
        },
        Err(error) => Finding {
            what: chosen,
            ok: false,
            needed: true,
            detail: for_people(error).to_string(),
        },
    }
}
