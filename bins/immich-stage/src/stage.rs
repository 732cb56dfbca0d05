//! Staging from the command line: flags and environment to settings, report to words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use faceset_cli::{Context, Exit, Failure, Report};
use faceset_staging::{DEFAULT_CEILING, Ended, StageCtx, StageOptions, StageReport, StageSettings};
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for everything: photos go to immich/LABEL, the queue to work/immich/LABEL
    #[arg(long, value_name = "DIR")]
    pub(crate) root: PathBuf,
    /// Name of your choice for the user whose key it is
    #[arg(long, value_name = "LABEL")]
    pub(crate) user: String,
    /// Address of the server, with or without /api
    #[arg(long, value_name = "URL", env = "IMMICH_URL")]
    url: Option<String>,
    /// Most requests at once; begins with 8 and takes more while that helps
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CEILING as u16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Short edge of the biggest face in pixels of the original; equal is fetched
    #[arg(long, value_name = "PX", default_value_t = 90.0)]
    min_face: f64,
    /// Leave out server paths that match, e.g. '**/screenshots/**'; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Fetch Immich's own thumbnails too ('**/thumbs/**'), which are left out by default
    #[arg(long)]
    keep_thumbs: bool,
    /// Folder on the server below which names begin; may be repeated
    #[arg(long, value_name = "PATH")]
    library_root: Vec<String>,
    /// Photos of this cache are not fetched again; may be repeated
    #[arg(long, value_name = "CACHE")]
    cache: Vec<PathBuf>,
    /// Fetch the server's JPEG of HEIC photos instead of the originals
    #[arg(long)]
    render_heic: bool,
    /// Fetch the server's picture of staged photos that this cache could not read; may be
    /// repeated
    #[arg(long, value_name = "CACHE")]
    render_unread: Vec<PathBuf>,
    /// Ask again for the faces of photos without big faces (only servers from 3.0 need it)
    #[arg(long)]
    recheck_faces: bool,
    /// Longest wait for an answer, in seconds
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Certificate of the server in PEM, when it is one of its own making
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The folder as Windows calls it, for workers there [default: found out where possible]
    #[arg(long, value_name = "PATH")]
    windows_root: Option<String>,
    /// List and count, fetch and write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let client = client(args)?;
    let root = std::path::absolute(&args.root)
        .with_context(|| format!("cannot make {} absolute", args.root.display()))?;
    let settings = StageSettings {
        windows_root: args.windows_root.clone().or_else(|| windows_name(&root)),
        min_face_short_px: args.min_face,
        exclude: args.exclude.clone(),
        keep_thumbnails: args.keep_thumbs,
        library_roots: args.library_root.clone(),
        workers: usize::from(args.workers),
        render_heic: args.render_heic,
        recheck_faces: args.recheck_faces,
        canonical: args.cache.clone(),
        render_unread: args.render_unread.clone(),
        ..StageSettings::new(root, &args.user)
    };
    let options = StageOptions::try_from(settings).map_err(for_people)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the network threads")?;
    let holder = format!("immich-stage, process {}", std::process::id());
    let ctx = StageCtx {
        progress: context.progress(),
        cancel: &context.cancel,
        holder: &holder,
        host: &host(),
        now: &jiff::Timestamp::now,
    };
    let outcome = runtime.block_on(async {
        if args.dry_run {
            faceset_staging::plan(&client, &options, &ctx).await
        } else {
            faceset_staging::stage(&client, &options, &ctx).await
        }
    });
    match outcome {
        Ok(report) => Ok(finished(&report)),
        Err(error) if error.is_outage() => {
            let why = for_people(error);
            Ok(Report {
                text: format!("paused: {why:#}; the same command tries again"),
                json: serde_json::json!({"command": "stage", "ended": "outage", "error": format!("{why:#}")}),
                exit: Exit::Paused,
            })
        }
        Err(error) => Err(for_people(error)),
    }
}

fn finished(report: &StageReport) -> Report {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        fields.insert("command".to_owned(), "stage".into());
    }
    Report {
        text: report.text(),
        json,
        exit: match report.ended {
            Ended::Done => Exit::Ok,
            Ended::Outage(_) => Exit::Paused,
            Ended::Interrupted => Exit::Interrupted,
        },
    }
}

fn client(args: &Args) -> anyhow::Result<Client> {
    let url = args
        .url
        .as_deref()
        .filter(|url| !url.is_empty())
        .context("where is the server? Set IMMICH_URL or give --url")?;
    let base = BaseUrl::parse(url).map_err(|error| Failure {
        exit: Exit::Usage,
        message: format!("{:#}", fragment(error)),
    })?;
    let timeout = Duration::from_secs(args.timeout);
    let options = ClientOptions {
        timeout,
        jitter_seed: u64::from(std::process::id()),
        extra_roots_pem: match &args.ca_cert {
            None => Vec::new(),
            Some(path) => std::fs::read(path)
                .with_context(|| format!("cannot read the certificate {}", path.display()))?,
        },
        user_agent: concat!("immich-stage/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..ClientOptions::default()
    };
    let options = ClientOptions {
        connect_timeout: options.connect_timeout.min(timeout),
        probe_timeout: options.probe_timeout.min(timeout),
        ..options
    };
    Client::new(base, key(&args.user)?, options).map_err(fragment)
}

/// `IMMICH_API_KEY_LABEL` for this label, else `IMMICH_API_KEY`. Keys are no flags: other
/// users of the machine could read them in its list of processes.
fn key(label: &str) -> anyhow::Result<ApiKey> {
    let own = format!("IMMICH_API_KEY_{}", variable_part(label));
    let value = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let text = value(&own).or_else(|| value("IMMICH_API_KEY"));
    let text = text.with_context(|| format!("no API key: set {own} or IMMICH_API_KEY"))?;
    ApiKey::new(text.trim()).map_err(fragment)
}

/// A label in letters that the name of a variable may have.
fn variable_part(label: &str) -> String {
    label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// On Linux under Windows: what Windows calls the folder, which only its own tool knows
/// for folders that are on no drive.
fn windows_name(root: &Path) -> Option<String> {
    let kernel = std::fs::read_to_string("/proc/version").ok()?;
    if !kernel.to_ascii_lowercase().contains("microsoft") {
        return None;
    }
    // The folder has to exist for `wslpath`.
    let existing = root.ancestors().find(|folder| folder.exists())?;
    let output = std::process::Command::new("wslpath")
        .arg("-m")
        .arg(existing)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let base = String::from_utf8(output.stdout).ok()?;
    let rest = root.strip_prefix(existing).ok()?.to_str()?;
    let base = base.trim().trim_end_matches('/');
    Some(match rest {
        "" => base.to_owned(),
        rest => format!("{base}/{rest}"),
    })
}

/// The machine's name; empty when it has none.
fn host() -> String {
    let named = |name: &str| std::env::var(name).ok();
    let file = || std::fs::read_to_string("/etc/hostname").ok();
    let name = named("COMPUTERNAME")
        .or_else(|| named("HOSTNAME"))
        .or_else(file);
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}

fn fragment(error: immich_client::Error) -> anyhow::Error {
    for_people(error.into())
}

/// Error fragments read after "failed to"; causes that say more follow.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(crate) fn for_people(error: faceset_staging::StagingError) -> anyhow::Error {
    let mut text = format!("failed to {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        cause = inner.source();
    }
    if error.is_usage() {
        return Failure {
            exit: Exit::Usage,
            message: text,
        }
        .into();
    }
    anyhow::anyhow!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_names_of_variables() {
        assert_eq!(variable_part("Anna B.-2"), "ANNA_B__2");
        assert_eq!(variable_part("ä"), "_");
    }
}
