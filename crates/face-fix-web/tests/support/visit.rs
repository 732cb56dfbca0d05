//! A visit of the page: a server, a browser with a tab, and what every session begins with.

use super::Server;
use super::browser::{self, Chromium, Tab};

/// Which photos are shown.
pub(crate) const SELECT_FILTER: &str = ".options label:nth-of-type(1) select";
/// Which photos are decided without a key.
const SELECT_AUTO: &str = ".options label:nth-of-type(2) select";

/// The page in a browser.
pub(crate) struct Visit {
    pub(crate) server: Server,
    pub(crate) browser: Chromium,
    /// The first tab, with everybody to choose from.
    pub(crate) tab: Tab,
}

impl Visit {
    /// Opens what `server` serves; `None` on a machine that can have no browser.
    pub(crate) async fn of(server: Server) -> Option<Self> {
        let browser = browser::launch().await?;
        let tab = browser.open(&server.link()).await;
        tab.until("document.querySelectorAll('.person').length >= 6")
            .await;
        Some(Self {
            server,
            browser,
            tab,
        })
    }

    /// The same, with Mia as the wrong person and Lea as the correct one.
    pub(crate) async fn begun(server: Server, auto: &str) -> Option<Self> {
        let visit = Self::of(server).await?;
        choose_pair(&visit.tab).await;
        start(&visit.tab, auto).await;
        Some(visit)
    }

    /// Ends it; whatever the tab complained of fails the test.
    pub(crate) async fn end(self) {
        self.tab.is_clean();
        self.close().await;
    }

    /// Ends it, whatever the tab complained of.
    pub(crate) async fn close(self) {
        self.browser.close().await;
        self.server.stop().await;
    }
}

/// Chooses Mia as the wrong person and Lea as the correct one.
pub(crate) async fn choose_pair(tab: &Tab) {
    tab.click("[aria-label='Wrong person'] [title='Mia Berg']")
        .await;
    tab.click("[aria-label='Correct person'] [title='Lea Berg']")
        .await;
}

/// Starts the session of the people who were chosen.
pub(crate) async fn start(tab: &Tab, auto: &str) {
    tab.set(SELECT_AUTO, auto).await;
    tab.click(".row.end > button.primary").await;
}

/// The first photo of the scene's own is Mia's portrait, which is right.
pub(crate) async fn past_the_portrait(tab: &Tab) {
    tab.until_photo("portrait_0.jpg").await;
    tab.press("n").await;
}
