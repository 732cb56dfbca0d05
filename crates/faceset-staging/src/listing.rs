//! The library's listing as a stream of pages, kept going through short outages.

use immich_client::{
    Asset, AssetType, Client, Error, ErrorKind, LibraryWalk, SearchFilter, ServerVersion, UserId,
    WalkOptions, WalkReport,
};
use tokio::sync::mpsc;

/// Listings that may fail in a row before the run gives up. Each has been repeated by
/// the client before; by then the breaker has mostly spoken. Its own number.
const MAX_FAILED_LISTINGS: u32 = 12;
/// Server failures (500) on the same listing in a row before the run gives up: a listing
/// that is broken stays broken.
const MAX_LISTING_FAULTS: u32 = 3;

/// What the listing says next.
#[derive(Debug)]
pub(crate) enum Page {
    /// More assets.
    Assets(Vec<Asset>),
    /// A listing failed and is repeated.
    Repeating,
    /// That was all.
    End,
    /// It cannot go on.
    Failed(Error),
}

/// A page and how the walk stands after it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) page: Page,
    pub(crate) walk: WalkReport,
}

/// What to list for a server of this version: this user's photos, with the faces where
/// the server can send them along.
pub(crate) fn walk_options(version: &ServerVersion, owner: UserId) -> WalkOptions {
    // Only for their sizes: later servers give those with the asset, and asking for
    // camera data hides what is not processed yet.
    let needs_exif = *version < ServerVersion::new(2, 5, 0);
    let filter = SearchFilter {
        asset_type: Some(AssetType::Image),
        with_people: true,
        with_exif: needs_exif,
        ..SearchFilter::default()
    };
    WalkOptions {
        owner: Some(owner),
        ..WalkOptions::for_version(version, filter)
    }
}

/// About how many photos the listing will show; `None` when the key may not ask. Partners'
/// photos count here and not in the listing.
pub(crate) async fn expected_total(client: &Client, options: &WalkOptions) -> Option<u64> {
    let mut total = 0;
    for visibility in &options.visibilities {
        let filter = SearchFilter {
            visibility: *visibility,
            ..options.filter.clone()
        };
        total += client.search_total(&filter).await.ok()?;
    }
    Some(total)
}

/// Starts listing; one page is fetched ahead.
pub(crate) fn list(client: &Client, options: WalkOptions) -> mpsc::Receiver<Listed> {
    let (pages, receiver) = mpsc::channel(1);
    tokio::spawn(send_pages(client.walk(options), pages));
    receiver
}

async fn send_pages(mut walk: LibraryWalk, pages: mpsc::Sender<Listed>) {
    let (mut outages, mut faults) = (0, 0);
    loop {
        let page = match walk.next().await {
            Ok(Some(assets)) => {
                (outages, faults) = (0, 0);
                Page::Assets(assets)
            }
            Ok(None) => Page::End,
            Err(error) => {
                match error.kind() {
                    ErrorKind::Outage => outages += 1,
                    ErrorKind::ServerFault => faults += 1,
                    _ => faults = MAX_LISTING_FAULTS,
                }
                let hopeless = error.is_circuit_open()
                    || outages >= MAX_FAILED_LISTINGS
                    || faults >= MAX_LISTING_FAULTS;
                if hopeless {
                    Page::Failed(error)
                } else {
                    Page::Repeating
                }
            }
        };
        let is_last = matches!(page, Page::End | Page::Failed(_));
        let listed = Listed {
            page,
            walk: walk.report().clone(),
        };
        if pages.send(listed).await.is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_data_is_asked_for_only_where_sizes_are_missing() {
        let owner: UserId = "u".parse().unwrap();
        let exif = |major, minor| {
            let version = ServerVersion::new(major, minor, 0);
            walk_options(&version, owner.clone()).filter.with_exif
        };
        assert!(exif(1, 118) && exif(2, 4));
        assert!(!exif(2, 5) && !exif(3, 0));
    }
}
