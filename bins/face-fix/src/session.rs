//! Where the server, the key and the journal are, and how work is run on them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use face_fix::{
    Engine, Journal, Mode, OwnFaces, PersonRef, Start, Transaction, link_by_queue, link_by_reading,
};
use faceset_cache::Cache;
use faceset_cli::{Context, Exit, Failure};
use faceset_queue::QueueDir;
use immich_client::{ApiKey, BaseUrl, Client, ClientOptions, ErrorKind, RetryPolicy};
use jiff::Timestamp;

use crate::words::count;

/// Retries while a person waits: two, within about two seconds.
const PAGE_RETRIES: RetryPolicy = RetryPolicy {
    max_retries: 2,
    base: Duration::from_millis(500),
    factor: 2.0,
    max_delay: Duration::from_secs(2),
    max_retry_after: Duration::from_secs(5),
};

/// Flags that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server and journal")]
pub(crate) struct SessionArgs {
    /// Address of the Immich server
    #[arg(long, global = true, value_name = "URL", env = "IMMICH_URL")]
    immich_url: Option<String>,
    /// API key; better given in the environment, where other users can't see it
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "IMMICH_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// The journal of decisions
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "face-fix.journal.jsonl"
    )]
    journal: PathBuf,
    /// Who decides, for the history
    #[arg(long, global = true, value_name = "NAME", default_value = "face-fix")]
    who: String,
    /// Refuse everything that would change anything
    #[arg(long, global = true)]
    read_only: bool,
    /// Check everything against the server and say what would happen; change nothing
    #[arg(long, global = true)]
    dry_run: bool,
}

impl SessionArgs {
    pub(crate) fn journal_path(&self) -> &Path {
        &self.journal
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.client_with(ClientOptions::default())
    }

    fn client_with(&self, options: ClientOptions) -> anyhow::Result<Client> {
        let (Some(url), Some(key)) = (self.immich_url.as_deref(), self.api_key.as_deref()) else {
            let missing = match (&self.immich_url, &self.api_key) {
                (Some(_), _) => "no key is given",
                (None, Some(_)) => "no server is given",
                (None, None) => "neither server nor key is given",
            };
            return Err(Failure {
                exit: Exit::Usage,
                message: format!(
                    "{missing}: use --immich-url or IMMICH_URL for the server's address, and \
                     --api-key or IMMICH_API_KEY for a key of yours"
                ),
            }
            .into());
        };
        let base = BaseUrl::parse(url).map_err(for_people)?;
        let key = ApiKey::new(key).map_err(for_people)?;
        Client::new(base, key, options).map_err(for_people)
    }

    /// For the page: a person waits for each call, and is shown a button to try again.
    pub(crate) async fn engine_for_a_page(&self) -> anyhow::Result<(Engine, Start)> {
        let options = ClientOptions {
            retry: PAGE_RETRIES,
            ..ClientOptions::default()
        };
        self.engine_on(self.client_with(options)?, self.mode())
            .await
    }

    fn mode(&self) -> Mode {
        Mode {
            read_only: self.read_only,
            dry_run: self.dry_run,
        }
    }

    pub(crate) async fn engine(&self) -> anyhow::Result<(Engine, Start)> {
        self.engine_as(self.mode()).await
    }

    /// For commands that only look.
    pub(crate) async fn looking(&self) -> anyhow::Result<(Engine, Start)> {
        self.engine_as(Mode {
            read_only: true,
            dry_run: false,
        })
        .await
    }

    async fn engine_as(&self, mode: Mode) -> anyhow::Result<(Engine, Start)> {
        self.engine_on(self.client()?, mode).await
    }

    async fn engine_on(&self, client: Client, mode: Mode) -> anyhow::Result<(Engine, Start)> {
        // What changes nothing need not wait for who does.
        let journal = if mode.read_only || mode.dry_run {
            Journal::open_to_look(&self.journal)
        } else {
            let holder = format!("face-fix, process {}", std::process::id());
            Journal::open(&self.journal, &holder)
        };
        let journal = journal.map_err(for_people)?;
        Engine::new(client, journal, mode).await.map_err(for_people)
    }

    /// A transaction of now, without faces.
    pub(crate) fn blank(&self) -> Transaction {
        Transaction::new(now(), self.who.clone())
    }

    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.dry_run
    }
}

/// The only clock of this program.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Runs a command's work.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(work)
}

/// Error fragments read after "failed to".
pub(crate) fn for_people(error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let text = format!("failed to {error}");
    match std::error::Error::source(&error) {
        // A transparent error says its source's words already.
        Some(source) if source.to_string() != error.to_string() => {
            anyhow::anyhow!("{text}: {source}")
        }
        _ => anyhow::anyhow!(text),
    }
}

/// The person of this id, or the only one of exactly this name.
pub(crate) async fn person(client: &Client, text: &str) -> anyhow::Result<PersonRef> {
    if let Ok(id) = text.parse() {
        match client.person(&id).await {
            Ok(person) => return Ok(PersonRef::from(&person)),
            Err(error) if matches!(error.kind(), ErrorKind::Missing | ErrorKind::BadRequest) => {}
            Err(error) => return Err(for_people(error)),
        }
    }
    let people = client.all_people(true).await.map_err(for_people)?;
    let named: Vec<_> = people.iter().filter(|person| person.name == text).collect();
    match named.as_slice() {
        [person] => Ok(PersonRef::from(*person)),
        [] => bail!("there is no person {text:?}; `face-fix people` lists them with their ids"),
        several => {
            let ids: Vec<&str> = several.iter().map(|person| person.id.as_str()).collect();
            bail!(
                "several people are called {text:?}; use an id: {}",
                ids.join(", ")
            )
        }
    }
}

/// The staging queues that a cache's photos came through, beside a `--cache`.
#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// Queue folder that immich-stage filled for this cache: photos are then known by their
    /// id on the server and need not be read; may be repeated
    #[arg(long, value_name = "DIR", requires = "cache")]
    queue: Vec<PathBuf>,
}

/// Refuses to go on after Ctrl-C: what was gathered until then is a part only, and no
/// file is written of a part.
pub(crate) fn whole(context: &Context) -> anyhow::Result<()> {
    if context.cancel.is_cancelled() {
        return Err(Failure {
            exit: Exit::Interrupted,
            message: "interrupted: nothing is written, and the same command starts over".to_owned(),
        }
        .into());
    }
    Ok(())
}

/// The embeddings of a cache, linked to Immich by the queues that its photos were staged
/// in, and by reading the photos that no queue knows. Says which. Fails after Ctrl-C.
pub(crate) fn own_faces(
    path: &Path,
    queues: &QueueArgs,
    context: &Context,
) -> anyhow::Result<(Cache, OwnFaces)> {
    let (cache, _) = faceset_cache::load(path).map_err(for_people)?;
    let mut links = Vec::new();
    for folder in &queues.queue {
        let (more, report) = link_by_queue(&cache, &QueueDir::named(folder)).map_err(for_people)?;
        context.progress().note(&format!(
            "queue {}: {} of the server linked, {} without faces in the cache, {} unreadable",
            folder.display(),
            count(report.n_linked, "photo", "photos"),
            report.n_not_in_cache,
            count(report.n_bad_lines, "line", "lines"),
        ));
        links.extend(more);
    }
    let (read, report) = link_by_reading(&cache, &links, context.progress(), &context.cancel);
    whole(context)?;
    links.extend(read);
    if links.is_empty() {
        let queues = match queues.queue.len() {
            0 => "give the queue they were staged in with --queue, or",
            _ => "no queue given knows them, and to be read",
        };
        bail!(
            "no photo of {} can be linked to Immich: {} unreadable, {} changed; {queues} \
             the photos must lie where the cache saw them",
            path.display(),
            report.n_unreadable,
            report.n_changed
        );
    }
    let own = OwnFaces::new(&cache, &links);
    let linked = own.linked();
    context.progress().note(&format!(
        "photos linked by the staging queue: {}, by reading their files: {}, unreadable: {}, \
         changed: {}",
        linked.by_queue, linked.by_reading, report.n_unreadable, report.n_changed
    ));
    Ok((cache, own))
}
