//! Accessibility of what a tab shows: axe-core's rules, widths, the focus.
//!
//! axe-core is brought by `cargo xtask setup`; without it these checks fail and say so.

use std::path::PathBuf;

use serde_json::Value;

use super::browser::Tab;

/// The standards that the page keeps: WCAG 2.2 at AA, and axe's own good practice.
const RULES: &str = "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']";

/// Narrowest screen that everything must fit, in CSS pixels.
pub(crate) const NARROW: i64 = 400;

fn axe() -> String {
    let path: PathBuf = faceset_testkit::home().join("axe").join("axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; the page's tests need axe-core: run `cargo xtask setup`",
            path.display()
        )
    })
}

/// Checks what is shown in both themes and at both widths, and keeps the screens as
/// `NAME-dark`, `NAME-light`, `NAME-400`.
///
/// # Panics
/// With every breach, when there is one.
pub(crate) async fn check(tab: &Tab, name: &str) {
    let mut breaches = Vec::new();
    for theme in ["dark", "light"] {
        tab.theme(theme).await;
        breaches.extend(audit(tab, theme).await);
        tab.shot(&format!("{name}-{theme}")).await;
    }
    tab.resize(NARROW, 800).await;
    breaches.extend(audit(tab, "light, narrow").await);
    tab.shot(&format!("{name}-{NARROW}")).await;
    breaches.extend(sticking_out(tab).await);
    tab.theme("dark").await;
    tab.resize(1280, 800).await;
    assert!(breaches.is_empty(), "{name}:\n{}", breaches.join("\n"));
}

/// What axe finds, a line each: rule, element, what is wrong.
async fn audit(tab: &Tab, how: &str) -> Vec<String> {
    // Colours fade in; what is half-way is not what people read.
    let settled = "document.getAnimations().every((a) => a.playState !== 'running')";
    tab.until(settled).await;
    if tab.value("typeof axe").await == "undefined" {
        tab.value(&format!("{};0", axe())).await;
    }
    tab.value(&format!(
        "window.audit = null; axe.run(document, {{ runOnly: {RULES}, resultTypes: ['violations'] }})\
         .then((found) => {{ window.audit = found.violations.flatMap((rule) => rule.nodes.map((node) => \
         `${{rule.id}}: ${{node.target.join(' ')}}: ${{node.failureSummary}}`)); }}, \
         (error) => {{ window.audit = [`axe failed: ${{error}}`]; }}); 0"
    ))
    .await;
    tab.until("window.audit").await;
    let Value::Array(found) = tab.value("window.audit").await else {
        panic!("axe gave no list");
    };
    found
        .iter()
        .map(|line| format!("{how}: {}", line.as_str().unwrap_or_default()))
        .collect()
}

/// Controls that cannot be reached by scrolling down, and the page itself when it
/// scrolls sideways. Tables may scroll within themselves.
async fn sticking_out(tab: &Tab) -> Vec<String> {
    let script = "(() => { \
        const wide = document.documentElement.clientWidth; \
        const out = []; \
        if (document.documentElement.scrollWidth > wide) { \
          out.push(`the page is ${document.documentElement.scrollWidth} px wide`); \
        } \
        for (const node of document.querySelectorAll('button, a, input, select, summary')) { \
          if (!node.checkVisibility({ visibilityProperty: true }) || node.closest('.table')) continue; \
          const box = node.getBoundingClientRect(); \
          const isOnPhoto = node.classList.contains('box'); \
          if (box.left < -1 || box.right > wide + 1 || (!isOnPhoto && (box.width < 16 || box.height < 16))) { \
            out.push(`${node.outerHTML.slice(0, 120)} lies at ${box.left}..${box.right}, ${box.width} x ${box.height}`); \
          } \
        } \
        return out; })()";
    let Value::Array(found) = tab.value(script).await else {
        panic!("no list");
    };
    found
        .iter()
        .map(|line| format!("at {NARROW} px: {}", line.as_str().unwrap_or_default()))
        .collect()
}

/// Walks with the Tab key once through everything; the names in order.
///
/// # Panics
/// When a control is passed over, comes in another order than it stands, or does not
/// show that it has the focus.
pub(crate) async fn walk(tab: &Tab) -> Vec<String> {
    let all = "[...document.querySelectorAll('button, a[href], input, select, summary')]\
        .filter((n) => !n.disabled && n.tabIndex >= 0 && n.checkVisibility({ visibilityProperty: true }))";
    tab.value(&format!(
        "window.wanted = {all}; document.getElementById('screen').focus(); 0"
    ))
    .await;
    let n = tab.value("window.wanted.length").await.as_u64().unwrap();
    assert!(n > 0, "there is something to walk through");
    let mut names = Vec::new();
    for at in 0..n {
        tab.press("Tab").await;
        let script = format!(
            "(() => {{ const wanted = window.wanted[{at}]; const has = document.activeElement; \
             if (has !== wanted) return {{ error: `after {at} steps the focus is on ${{has.outerHTML.slice(0, 100)}}, \
             and should be on ${{wanted.outerHTML.slice(0, 100)}}` }}; \
             const look = getComputedStyle(has); \
             const seen = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2; \
             const name = has.getAttribute('aria-label') || has.innerText || has.closest('label')?.innerText || ''; \
             return seen ? {{ name }} : {{ error: `the focus cannot be seen on ${{has.outerHTML.slice(0, 100)}}` }}; }})()"
        );
        let step = tab.value(&script).await;
        if let Some(error) = step["error"].as_str() {
            panic!("{error}");
        }
        names.push(step["name"].as_str().unwrap_or_default().trim().to_owned());
    }
    names
}
