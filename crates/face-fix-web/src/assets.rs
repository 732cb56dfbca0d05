//! The page's files, compiled in: no folder to find, no path to escape from.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Address, content type and text of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../ui/index.html")),
    ("/app.css", CSS, include_str!("../ui/app.css")),
    ("/favicon.svg", SVG, include_str!("../ui/favicon.svg")),
    ("/js/api.js", JS, include_str!("../ui/js/api.js")),
    ("/js/banner.js", JS, include_str!("../ui/js/banner.js")),
    ("/js/coach.js", JS, include_str!("../ui/js/coach.js")),
    (
        "/js/countdown.js",
        JS,
        include_str!("../ui/js/countdown.js"),
    ),
    ("/js/dom.js", JS, include_str!("../ui/js/dom.js")),
    ("/js/facecard.js", JS, include_str!("../ui/js/facecard.js")),
    ("/js/keys.js", JS, include_str!("../ui/js/keys.js")),
    ("/js/main.js", JS, include_str!("../ui/js/main.js")),
    ("/js/review.js", JS, include_str!("../ui/js/review.js")),
    ("/js/setup.js", JS, include_str!("../ui/js/setup.js")),
    ("/js/split.js", JS, include_str!("../ui/js/split.js")),
    ("/js/stage.js", JS, include_str!("../ui/js/stage.js")),
    ("/js/summary.js", JS, include_str!("../ui/js/summary.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The routes of the files. They hold nothing of the library and need no token.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, &(path, kind, text)| {
            let answer =
                move || async move { ([(header::CONTENT_TYPE, kind)], text).into_response() };
            router.route(path, get(answer))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_served_and_says_what_it_owns() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/js");
        let mut n_scripts = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("/js/{name}");
            let served = FILES.iter().find(|(known, _, _)| *known == path);
            let (_, _, text) = served.unwrap_or_else(|| panic!("{name} is not served"));
            assert!(text.starts_with("// "), "{name} has no header comment");
            n_scripts += 1;
        }
        assert_eq!(
            n_scripts,
            FILES.iter().filter(|(_, kind, _)| *kind == JS).count()
        );
    }

    #[test]
    fn the_page_never_parses_text_as_markup_and_loads_nothing_from_outside() {
        for (path, _, text) in FILES {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(sink), "{path} uses {sink}");
            }
            let outside = text
                .match_indices("://")
                .filter(|(at, _)| {
                    !text[..*at].ends_with("http") || !text[*at..].starts_with("://www.w3.org/")
                })
                .count();
            assert_eq!(outside, 0, "{path} names an outside address");
            assert!(
                !text.contains(" style=") && !text.contains("onclick="),
                "{path} has inline style or script"
            );
        }
    }
}
