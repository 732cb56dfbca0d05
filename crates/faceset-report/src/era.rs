//! The page of one person's eras: a timeline of sub-clusters, the distances,
//! the verdict. One HTML file that needs nothing beside it and shows no photo.

use std::collections::BTreeMap;

use askama::Template;
use faceset_core::CosineDistance;

use crate::ReportError;
use crate::pages::{GENERATOR, STYLE};
use crate::words::{count, many, number};

/// What the page is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct EraPage {
    /// The person, for the heading.
    pub title: String,
    /// The verdict in words.
    pub verdict: String,
    /// What the dates came to, in words.
    pub dates: String,
    /// Faces.
    pub n_faces: usize,
    /// Faces whose pairs were measured.
    pub n_sampled: usize,
    /// Mean distance of the pairs, if there are any.
    pub mean: Option<f64>,
    /// Their median.
    pub median: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Pairs by distance.
    pub bins: Vec<PairBin>,
    /// Sub-clusters by threshold.
    pub sizes: Vec<SizeRow>,
    /// Threshold of the sub-clusters in `bands`.
    pub threshold: CosineDistance,
    /// Sub-clusters, largest first.
    pub bands: Vec<EraBand>,
    /// Sub-clusters that are not shown.
    pub n_more: usize,
}

/// Pairs whose distance lies in `from..to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairBin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Pairs.
    pub n_pairs: u64,
}

/// Sub-clusters at one threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeRow {
    /// The threshold.
    pub threshold: CosineDistance,
    /// All of them.
    pub n_clusters: usize,
    /// The big ones.
    pub n_big: usize,
    /// The largest sizes.
    pub top: Vec<usize>,
}

/// One sub-cluster on the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraBand {
    /// Its years in words.
    pub label: String,
    /// Its faces.
    pub n_faces: usize,
    /// Dated faces by year.
    pub by_year: BTreeMap<i32, usize>,
    /// Faces without a date.
    pub undated: usize,
}

/// Left edge and width of the timeline, which leave room for the names of looks
/// and for half of the last year's; in units of the drawing.
const LEFT: f64 = 110.0;
const WIDTH: f64 = 350.0;
/// Width of all bars.
const BARS_WIDTH: f64 = 464.0;
/// Height of a band, and of the bars.
const BAND: f64 = 18.0;
const BARS: f64 = 110.0;
/// Radius of the dot of the fullest year.
const MAX_RADIUS: f64 = 8.0;
/// Names of years on the axis, at most.
const MAX_TICKS: i32 = 10;

#[derive(Template)]
#[template(path = "era.html")]
struct View<'a> {
    page: &'a EraPage,
    generator: &'a str,
    style: &'a str,
    faces: String,
    timeline: Option<Timeline>,
    bars: Vec<Bar>,
    bars_base: String,
    numbers: String,
    rows: Vec<[String; 4]>,
    more: String,
}

struct Timeline {
    height: String,
    axis_y: String,
    tick_y: String,
    ticks: Vec<(String, String)>,
    bands: Vec<BandView>,
}

struct BandView {
    text_y: String,
    line_y: String,
    label: String,
    note: String,
    dots: Vec<Dot>,
}

struct Dot {
    x: String,
    y: String,
    r: String,
    text: String,
}

struct Bar {
    x: String,
    y: String,
    width: String,
    height: String,
    middle: String,
    name: String,
    text: String,
}

/// The page as HTML. The same values give the same bytes.
///
/// # Errors
/// [`ReportError::Render`], which only a broken template gives.
pub fn era_page(page: &EraPage) -> Result<String, ReportError> {
    let distance = |d: Option<f64>| d.map_or_else(|| "none".to_owned(), |d| number(d, 3));
    let sampled = if page.n_sampled < page.n_faces {
        format!(", every pair of {} sampled faces", count(page.n_sampled))
    } else {
        String::new()
    };
    let view = View {
        page,
        generator: GENERATOR,
        style: STYLE,
        faces: many(page.n_faces, "face", "faces"),
        timeline: timeline(&page.bands),
        bars: bars(&page.bins),
        bars_base: number(BARS + 14.0, 2),
        numbers: format!(
            "mean {}, median {}, largest {}{sampled}",
            distance(page.mean),
            distance(page.median),
            distance(page.max)
        ),
        rows: page.sizes.iter().map(row).collect(),
        more: if page.n_more == 0 {
            String::new()
        } else {
            format!(
                "{} not shown.",
                many(
                    page.n_more,
                    "smaller sub-cluster is",
                    "smaller sub-clusters are"
                )
            )
        },
    };
    view.render().map_err(|source| ReportError::Render {
        file: format!("eras of {}", page.title),
        source,
    })
}

fn row(sizes: &SizeRow) -> [String; 4] {
    let top: Vec<String> = sizes.top.iter().map(|n| count(*n)).collect();
    [
        number(sizes.threshold.get(), 2),
        count(sizes.n_clusters),
        count(sizes.n_big),
        top.join(", "),
    ]
}

/// `None` when nothing is dated.
fn timeline(bands: &[EraBand]) -> Option<Timeline> {
    let years = || bands.iter().flat_map(|b| b.by_year.keys().copied());
    let (first, last) = (years().min()?, years().max()?);
    let span = f64::from((last - first).max(1));
    let x = |year: i32| LEFT + WIDTH * f64::from(year - first) / span;
    let fullest = bands
        .iter()
        .flat_map(|b| b.by_year.values())
        .max()
        .copied()
        .unwrap_or(1);
    let step = ((last - first) / MAX_TICKS + 1).max(1);
    let axis = 12.0 + BAND * bands.len() as f64;
    Some(Timeline {
        height: number(axis + 24.0, 2),
        axis_y: number(axis, 2),
        tick_y: number(axis + 15.0, 2),
        ticks: (first..=last)
            .step_by(step as usize)
            .map(|year| (number(x(year), 2), year.to_string()))
            .collect(),
        bands: bands
            .iter()
            .enumerate()
            .map(|(at, band)| band_view(band, 12.0 + BAND * (at as f64 + 0.5), fullest, &x))
            .collect(),
    })
}

fn band_view(band: &EraBand, y: f64, fullest: usize, x: &dyn Fn(i32) -> f64) -> BandView {
    let undated = match band.undated {
        0 => String::new(),
        n => format!(", {} undated", count(n)),
    };
    BandView {
        text_y: number(y + 4.0, 2),
        line_y: number(y, 2),
        label: match band.undated {
            0 => format!("{} ({})", band.label, count(band.n_faces)),
            n if n == band.n_faces => format!("{} ({})", band.label, count(n)),
            n => format!("{} ({}+{})", band.label, count(band.n_faces - n), count(n)),
        },
        note: format!("{}{undated}", many(band.n_faces, "face", "faces")),
        dots: band
            .by_year
            .iter()
            .map(|(year, n)| Dot {
                x: number(x(*year), 2),
                y: number(y, 2),
                // Area by count, and never too small to be seen.
                r: number(
                    (MAX_RADIUS * (*n as f64 / fullest as f64).sqrt()).max(1.5),
                    2,
                ),
                text: format!("{year}: {}", many(*n, "face", "faces")),
            })
            .collect(),
    }
}

fn bars(bins: &[PairBin]) -> Vec<Bar> {
    let tallest = bins.iter().map(|b| b.n_pairs).max().unwrap_or(0).max(1);
    let step = BARS_WIDTH / bins.len().max(1) as f64;
    bins.iter()
        .enumerate()
        .map(|(at, bin)| {
            let x = 8.0 + step * at as f64;
            let height = BARS * bin.n_pairs as f64 / tallest as f64;
            let name = format!("{}–{}", number(bin.from, 1), number(bin.to, 1));
            Bar {
                x: number(x + 1.0, 2),
                y: number(14.0 + BARS - height, 2),
                width: number(step - 2.0, 2),
                height: number(height, 2),
                middle: number(x + step / 2.0, 2),
                text: format!("{name}: {}", many(bin.n_pairs as usize, "pair", "pairs")),
                name,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> EraPage {
        EraPage {
            title: "A <b> & C".to_owned(),
            verdict: "Age-sortable.".to_owned(),
            dates: "2 of 3 photos".to_owned(),
            n_faces: 5,
            n_sampled: 5,
            mean: Some(0.25),
            median: Some(0.2),
            max: Some(0.7),
            bins: vec![
                PairBin {
                    from: 0.0,
                    to: 0.2,
                    n_pairs: 4,
                },
                PairBin {
                    from: 0.2,
                    to: 2.0,
                    n_pairs: 1,
                },
            ],
            sizes: vec![SizeRow {
                threshold: CosineDistance::constant(0.35),
                n_clusters: 2,
                n_big: 0,
                top: vec![4, 1],
            }],
            threshold: CosineDistance::constant(0.35),
            bands: vec![
                EraBand {
                    label: "2000-10".to_owned(),
                    n_faces: 4,
                    by_year: BTreeMap::from([(2000, 1), (2010, 2)]),
                    undated: 1,
                },
                EraBand {
                    label: "2005".to_owned(),
                    n_faces: 1,
                    by_year: BTreeMap::from([(2005, 1)]),
                    undated: 0,
                },
            ],
            n_more: 0,
        }
    }

    #[test]
    fn years_lie_on_one_axis_and_dots_grow_by_area() {
        let drawn = timeline(&page().bands).unwrap();
        let xs: Vec<&str> = drawn.bands[0].dots.iter().map(|d| d.x.as_str()).collect();
        assert_eq!(xs, ["110", "460"]);
        assert_eq!(drawn.bands[1].dots[0].x, "285", "2005 is half-way");
        assert_eq!(drawn.bands[0].label, "2000-10 (3+1)", "one has no date");
        assert_eq!(drawn.bands[1].label, "2005 (1)");
        assert_eq!(drawn.bands[0].dots[1].r, "8");
        assert_eq!(drawn.bands[0].dots[0].r, "5.66", "half of the area");
        assert_eq!(drawn.bands[1].line_y, "39");
    }

    #[test]
    fn without_a_date_there_is_no_timeline() {
        assert!(timeline(&[]).is_none());
        let mut undated = page();
        undated.bands.iter_mut().for_each(|b| b.by_year.clear());
        let html = era_page(&undated).unwrap();
        assert!(!html.contains("id=\"timeline\""), "{html}");
        assert!(html.contains("No face here has a believable date"));
    }

    #[test]
    fn one_year_alone_is_drawn() {
        let band = EraBand {
            label: "2005".to_owned(),
            n_faces: 1,
            by_year: BTreeMap::from([(2005, 1)]),
            undated: 0,
        };
        let drawn = timeline(&[band]).unwrap();
        assert_eq!(drawn.ticks, [("110".to_owned(), "2005".to_owned())]);
    }

    #[test]
    fn the_page_escapes_names_and_needs_no_other_file() {
        let html = era_page(&page()).unwrap();
        assert!(html.contains("A &#60;b&#62; &#38; C"), "{html}");
        assert!(!html.contains("<link") && !html.contains("<script"));
        assert!(html.contains("mean 0.25, median 0.2, largest 0.7"));
        assert!(html.contains("2010: 2 faces"));
    }
}
