//! `serve`: the page, for the browser of this machine.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use face_fix::{Start, Status};
use face_fix_web::{App, AppOptions, Names, SessionToken, TOKEN_BYTES};
use faceset_cli::{Context, Report};
use serde_json::json;
use tokio::net::TcpListener;

use crate::session::{QueueArgs, SessionArgs, block_on, now, own_faces};

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Cache of face-sets for this library (NAME.npz): suggestions, threshold coach and
    /// splitting then use its embeddings
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    queue: QueueArgs,
    /// Port of the page; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// Address to listen on. Anything but loopback lets others on the network reach the
    /// page; they still need the link, and nothing is encrypted
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Another name under which the page is opened, e.g. behind a proxy; may be repeated
    #[arg(long, value_name = "NAME[:PORT]")]
    host_name: Vec<String>,
    /// Open the link in the browser at once. Other users of this machine can read a running
    /// program's arguments, and the link is one of them for a moment
    #[arg(long)]
    open: bool,
}

/// Serves until Ctrl-C.
pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    block_on(serve(args, session, context))
}

async fn serve(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    let wanted = SocketAddr::new(args.listen, args.port);
    // First, so that a port in use is told before Immich is asked.
    let listener = TcpListener::bind(wanted)
        .await
        .with_context(|| format!("cannot listen on {wanted}; choose another --port"))?;
    let address = listener.local_addr().context("cannot tell the port")?;
    let (engine, start) = session.engine_for_a_page().await?;
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let token = SessionToken::new(random);
    let names = Names::new(address, &args.host_name);
    let mut options = AppOptions::new(session.who(), now);
    if let Some(cache) = &args.cache {
        let (_, own) = own_faces(cache, &args.queue, context)?;
        options = options.with_own_faces(Arc::new(own));
    }
    let app = App::new(engine.clone(), options);
    let link = face_fix_web::link(&names, &token);
    announce(&start, link.as_deref(), address)?;
    if let (true, Some(link)) = (args.open, &link)
        && let Err(error) = open_in_browser(link)
    {
        context
            .progress()
            .note(&format!("no browser could be started: {error}"));
    }
    let cancel = context.cancel.clone();
    let stop = async move {
        while !cancel.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Streams to a browser may stay open for ever: Ctrl-C does not wait for them.
    tokio::select! {
        served = face_fix_web::serve(listener, app, names, token, std::future::pending()) => {
            served.context("cannot serve the page any more")?;
        }
        () = stop => {}
    }
    let n_transactions = engine.history().len();
    let report = json!({ "address": address.to_string(), "transactions": n_transactions });
    Ok(Report::done(
        format!("stopped; {n_transactions} decisions are in the journal"),
        report,
    ))
}

/// Hands the link to what the system opens links with.
fn open_in_browser(link: &str) -> std::io::Result<()> {
    let mut command = if cfg!(target_os = "windows") {
        let mut command = Command::new("rundll32");
        command.arg("url.dll,FileProtocolHandler");
        command
    } else if cfg!(target_os = "macos") {
        Command::new("open")
    } else {
        Command::new("xdg-open")
    };
    let silent = (Stdio::null(), Stdio::null(), Stdio::null());
    command.stdin(silent.0).stdout(silent.1).stderr(silent.2);
    command.arg(link).spawn().map(|_| ())
}

/// Says where the page is, and what an earlier run left. On stdout, as it is what the
/// command is for; with `--json` too, since nobody can go on without the link.
fn announce(start: &Start, link: Option<&str>, address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").context("cannot print the link");
    for missing in &start.permissions.missing {
        let functions: Vec<String> = missing.functions.iter().map(ToString::to_string).collect();
        say(format!(
            "the API key lacks {}: cannot {}",
            missing.permission,
            functions.join(", cannot ")
        ))?;
    }
    if start.permissions.is_all {
        say("the API key may do everything; one with only the needed permissions is safer".into())?;
    }
    for outcome in &start.resumed {
        if let (Status::Waiting { why } | Status::Stopped { why, .. }, Some(id)) =
            (&outcome.status, outcome.id)
        {
            say(format!(
                "decision {id} of an earlier run is not through: {why}"
            ))?;
        }
    }
    let link =
        link.with_context(|| format!("{address} has no name to open: give one with --host-name"))?;
    say(format!("open this link in a browser (Ctrl-C ends): {link}"))
}
