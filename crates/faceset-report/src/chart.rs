//! The histogram as shapes of an SVG; the template draws them.

use crate::histogram::Histogram;
use crate::words::{count, many, number};

pub(crate) struct ChartView {
    pub(crate) height: String,
    pub(crate) top: String,
    pub(crate) base: String,
    pub(crate) tick_y: String,
    /// Outlines of the two distributions.
    pub(crate) own: String,
    pub(crate) other: String,
    pub(crate) bins: Vec<(String, String)>,
    pub(crate) cuts: Vec<CutView>,
    pub(crate) ticks: Vec<(String, String)>,
    pub(crate) n_own: String,
    pub(crate) n_other: String,
    pub(crate) tallest: String,
    pub(crate) sentences: Vec<String>,
}

pub(crate) struct CutView {
    pub(crate) x: String,
    pub(crate) label: String,
    /// Top of its line.
    pub(crate) y: String,
    pub(crate) anchor: &'static str,
    pub(crate) text_x: String,
    pub(crate) text_y: String,
}

/// Left edge, width and height of the chart's plot in its own units.
const PLOT: (f64, f64, f64) = (8.0, 464.0, 140.0);
/// Height of a row of names above the plot.
const ROW: f64 = 14.0;

/// The distances as outlines, lines and sentences.
pub(crate) fn chart(histogram: &Histogram) -> ChartView {
    let (left, width, height) = PLOT;
    // Names of the lower lines stand to their left, of the upper ones to their
    // right, the innermost on top: so none crosses another line.
    let n_cuts = histogram.cuts.len();
    let middle = n_cuts.div_ceil(2);
    let top = 10.0 + ROW * middle as f64;
    let n = histogram.bins.len();
    let tallest = histogram
        .bins
        .iter()
        .map(|b| b.own.max(b.other))
        .max()
        .unwrap_or(0)
        .max(1);
    let step = width / n as f64;
    let x = |bin: usize| number(left + bin as f64 * step, 2);
    let y = |count: usize| number(top + height - height * count as f64 / tallest as f64, 2);
    let base = number(top + height, 2);
    let outline = |of: &dyn Fn(usize) -> usize| {
        use std::fmt::Write;
        let mut path = format!("M{} {base}", x(0));
        for bin in 0..n {
            write!(path, "V{}H{}", y(of(bin)), x(bin + 1)).expect("a string takes all");
        }
        path + "V" + &base + "Z"
    };
    let bins = histogram
        .bins
        .iter()
        .enumerate()
        .filter(|(_, b)| b.own + b.other > 0)
        .map(|(at, b)| {
            let from = number(Histogram::edge(at), 2);
            let to = if at + 1 == n {
                "and more".to_owned()
            } else {
                format!("to {}", number(Histogram::edge(at + 1), 2))
            };
            let text = format!(
                "{from} {to}: {} to own group, {} to nearest other",
                count(b.own),
                count(b.other)
            );
            (x(at), text)
        })
        .collect();
    let cuts = histogram
        .cuts
        .iter()
        .enumerate()
        .map(|(at, cut)| {
            let x = left + width * Histogram::position(cut.line.distance);
            let (is_lower, row) = if at < middle {
                (true, middle - 1 - at)
            } else {
                (false, at - middle)
            };
            let text_y = 11.0 + ROW * row as f64;
            CutView {
                x: number(x, 2),
                y: number(text_y - 9.0, 2),
                label: format!("{} {}", cut.line.label, number(cut.line.distance.get(), 3)),
                anchor: if is_lower { "end" } else { "start" },
                text_x: number(if is_lower { x - 4.0 } else { x + 4.0 }, 2),
                text_y: number(text_y, 2),
            }
        })
        .collect();
    let sentences = histogram
        .cuts
        .iter()
        .map(|cut| {
            format!(
                "At or below {} ({}): {} of {} faces to their own group, {} of {} to another one.",
                number(cut.line.distance.get(), 3),
                cut.line.label,
                count(cut.own_within),
                count(histogram.n_own),
                count(cut.other_within),
                count(histogram.n_other),
            )
        })
        .collect();
    ChartView {
        height: number(top + height + 24.0, 2),
        top: number(top, 2),
        tick_y: number(top + height + 16.0, 2),
        own: outline(&|bin| histogram.bins[bin].own),
        other: outline(&|bin| histogram.bins[bin].other),
        bins,
        cuts,
        ticks: (0..=n)
            .step_by(10)
            .map(|bin| (x(bin), number(Histogram::edge(bin), 1)))
            .collect(),
        base,
        n_own: count(histogram.n_own),
        n_other: count(histogram.n_other),
        tallest: many(tallest, "face", "faces"),
        sentences,
    }
}
