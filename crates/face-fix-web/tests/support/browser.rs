//! A real browser: Debian's chromium, headless, driven by the DevTools protocol.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chromiumoxide::Page;
use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::cdp::js_protocol::runtime::EventExceptionThrown;
use chromiumoxide::page::ScreenshotParams;
use futures::StreamExt;
use serde_json::Value;

/// Programs that will do, the first found is taken.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Longest wait for something to appear. Nothing here takes seconds but a machine
/// under load; no test passes or fails by how long it took within this.
const PATIENCE: Duration = Duration::from_mins(1);

/// The browser's program.
///
/// # Panics
/// When there is none: the page cannot be tested then, and that must be seen.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file());
    found.expect(
        "the page's tests need a browser: `sudo apt-get install chromium`, or a chromium or \
         google-chrome on the PATH",
    )
}

/// Set by `cargo xtask test` alone, to the reason why this machine has no browser and
/// can have none.
const NO_BROWSER: &str = "FACE_SETS_NO_BROWSER";

/// The browser; `None`, said past the test runner's capture, on a machine that can have
/// none.
pub(crate) async fn launch() -> Option<Chromium> {
    if let Some(why) = std::env::var_os(NO_BROWSER) {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let why = why.to_string_lossy();
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
        return None;
    }
    Some(Chromium::launch().await)
}

/// A running browser. Its profile is a folder of its own that goes with it.
pub(crate) struct Chromium {
    browser: Browser,
    events: tokio::task::JoinHandle<()>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    async fn launch() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(program())
            .user_data_dir(profile.path())
            // Checks often run as root in a container, where the sandbox cannot start;
            // the only pages opened are our own.
            .no_sandbox()
            .launch_timeout(PATIENCE)
            .request_timeout(PATIENCE)
            .window_size(1280, 800)
            .args([
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
            ])
            .build()
            .unwrap();
        let (browser, mut handler) = Browser::launch(config).await.unwrap();
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Self {
            browser,
            events,
            _profile: profile,
        }
    }

    /// A tab of 1280 x 800 at this address.
    pub(crate) async fn open(&self, address: &str) -> Tab {
        let page = self.browser.new_page("about:blank").await.unwrap();
        let tab = Tab::watch(page).await;
        tab.resize(1280, 800).await;
        tab.goto(address).await;
        tab
    }

    pub(crate) async fn close(mut self) {
        let _ = self.browser.close().await;
        let _ = self.browser.wait().await;
        self.events.abort();
    }
}

/// One tab.
pub(crate) struct Tab {
    pub(crate) page: Page,
    /// Exceptions and breaches of the content security policy.
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Tab {
    async fn watch(page: Page) -> Self {
        let troubles = Arc::new(Mutex::new(Vec::new()));
        page.enable_log().await.unwrap();
        page.enable_runtime().await.unwrap();
        let mut thrown = page.event_listener::<EventExceptionThrown>().await.unwrap();
        let into = troubles.clone();
        tokio::spawn(async move {
            while let Some(event) = thrown.next().await {
                let details = &event.exception_details;
                let text = details
                    .exception
                    .as_ref()
                    .and_then(|e| e.description.clone());
                into.lock()
                    .unwrap()
                    .push(text.unwrap_or_else(|| details.text.clone()));
            }
        });
        let mut logged = page.event_listener::<EventEntryAdded>().await.unwrap();
        let into = troubles.clone();
        tokio::spawn(async move {
            while let Some(event) = logged.next().await {
                let entry = &event.entry;
                // Answers that are refusals are logged too; tests ask for some of those.
                if entry.level == chromiumoxide::cdp::browser_protocol::log::LogEntryLevel::Error
                    && !entry.text.contains("Failed to load resource")
                {
                    into.lock().unwrap().push(entry.text.clone());
                }
            }
        });
        Self { page, troubles }
    }

    pub(crate) async fn goto(&self, address: &str) {
        self.page.goto(address).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.page.reload().await.unwrap();
    }

    pub(crate) async fn resize(&self, width: i64, height: i64) {
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, width < 600);
        self.page.execute(size).await.unwrap();
    }

    /// Shows the page as to a user of this theme, `dark` or `light`.
    pub(crate) async fn theme(&self, theme: &str) {
        let feature = MediaFeature::new("prefers-color-scheme", theme);
        let media = SetEmulatedMediaParams::builder().feature(feature).build();
        self.page.execute(media).await.unwrap();
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let found = self.page.evaluate(expression).await;
        let found = found.unwrap_or_else(|error| panic!("{expression}: {error}"));
        found.value().cloned().unwrap_or(Value::Null)
    }

    /// The visible text of the first element that fits; empty when there is none.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let expression = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.value(&expression)
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the expression is truthy.
    ///
    /// # Panics
    /// With what the page shows, when it never is.
    pub(crate) async fn until(&self, expression: &str) {
        let start = Instant::now();
        let asked = format!("Boolean({expression})");
        while self.value(&asked).await != Value::Bool(true) {
            if start.elapsed() > PATIENCE {
                let shows = self.value("document.body.innerText").await;
                let troubles = self.troubles.lock().unwrap().clone();
                self.shot("timeout").await;
                panic!("never true: {expression}\ntroubles: {troubles:?}\nthe page shows: {shows}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until the first element that fits shows this text.
    pub(crate) async fn until_text(&self, selector: &str, part: &str) {
        let shown = format!("document.querySelector({selector:?})?.innerText.includes({part:?})");
        self.until(&shown).await;
    }

    /// Waits for a photo in front that can be decided on.
    pub(crate) async fn until_photo(&self, file_name: &str) {
        self.until_text(".caption", file_name).await;
        self.until("document.querySelector('.photo img')?.complete")
            .await;
    }

    /// Presses and releases a key as a keyboard does.
    pub(crate) async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Escape" => (27, None),
            "Enter" => (13, Some("\r")),
            "ArrowRight" => (39, None),
            "Tab" => (9, None),
            other => (
                i64::from(other.to_ascii_uppercase().as_bytes()[0]),
                Some(other),
            ),
        };
        let event = |kind: DispatchKeyEventType| {
            let event = DispatchKeyEventParams::builder()
                .r#type(kind)
                .key(key)
                .windows_virtual_key_code(code);
            match text {
                Some(text) => event.text(text),
                None => event,
            }
            .build()
            .unwrap()
        };
        let down = match text {
            Some(_) => DispatchKeyEventType::KeyDown,
            None => DispatchKeyEventType::RawKeyDown,
        };
        self.page.execute(event(down)).await.unwrap();
        self.page
            .execute(event(DispatchKeyEventType::KeyUp))
            .await
            .unwrap();
    }

    /// Clicks the first element that fits.
    pub(crate) async fn click(&self, selector: &str) {
        self.until(&format!("document.querySelector({selector:?})"))
            .await;
        let clicked = format!("document.querySelector({selector:?}).click()");
        self.value(&clicked).await;
    }

    /// Sets a select, input or check box as a user would.
    pub(crate) async fn set(&self, selector: &str, value: &str) {
        self.until(&format!("document.querySelector({selector:?})"))
            .await;
        let script = format!(
            "(() => {{ const field = document.querySelector({selector:?}); \
             if (field.type === 'checkbox') field.checked = {value:?} === 'true'; \
             else field.value = {value:?}; \
             field.dispatchEvent(new Event('input', {{ bubbles: true }})); \
             field.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        );
        self.value(&script).await;
    }

    /// Keeps a picture of what is visible, for people to look at.
    pub(crate) async fn shot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("face-fix-screens");
        std::fs::create_dir_all(&folder).unwrap();
        let how = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png);
        let path = folder.join(format!("{name}.png"));
        self.page.save_screenshot(how.build(), path).await.unwrap();
    }

    /// Nothing was thrown and nothing broke the content security policy.
    pub(crate) fn is_clean(&self) {
        let troubles = self.troubles.lock().unwrap();
        assert!(troubles.is_empty(), "the page had troubles: {troubles:?}");
    }
}
