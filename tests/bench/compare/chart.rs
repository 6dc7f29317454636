//! The chart: a bar for the median CPU time of a request, a whisker from the least to the greatest, in groups by work. It
//! is SVG that reads without colours: every bar has its name and its figure beside it, and the whole has a description.

use std::fmt::Write as _;

use crate::cells::Work;
use crate::results::{Results, Spread};

const WIDTH: f64 = 760.0;
/// Where bars begin, and how long the longest may be.
const LEFT: f64 = 210.0;
const LONGEST: f64 = 470.0;
const ROW: f64 = 22.0;
const HEADING: f64 = 36.0;
const TOP: f64 = 58.0;
/// What is drawn; the rest stands in the tables.
const DRAWN: [Work; 4] = [Work::Everything, Work::PassThrough, Work::Hs256, Work::Es256];

const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;fill:#1f2733}\
 .title{font-size:17px;font-weight:600}.note{font-size:12px;fill:#5b6675}.group{font-weight:600}\
 .ours{fill:#2f55b7}.peer{fill:#a9b4c4}.ours-name{font-weight:600}.whisker{stroke:#1f2733;stroke-width:1.2}";

struct Bar {
    who: &'static str,
    cost: Spread,
}

/// Draws it.
pub(crate) fn draw(results: &Results) -> String {
    let groups: Vec<(Work, Vec<Bar>)> = DRAWN.into_iter().map(|work| (work, bars(results, work))).collect();
    let groups: Vec<_> = groups.into_iter().filter(|(_, bars)| !bars.is_empty()).collect();
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.cost.max).fold(1.0, f64::max);
    let mut body = String::new();
    let mut at = TOP;
    for (work, bars) in &groups {
        at += HEADING;
        let _ = writeln!(body, "<text class=\"group\" x=\"16\" y=\"{:.0}\">{work}</text>", at - 8.0);
        for bar in bars {
            row(&mut body, bar, at, LONGEST / most);
            at += ROW;
        }
    }
    let height = at + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"title description\">\n\
         <title id=\"title\">CPU time for each request, by contender</title>\n\
         <desc id=\"description\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text class=\"title\" x=\"16\" y=\"28\">CPU time for each request</text>\n\
         <text class=\"note\" x=\"16\" y=\"48\">Microseconds on one core; less is better. Median of all rounds, \
         whiskers from least to greatest.</text>\n{body}</svg>\n",
        description(&groups)
    )
}

fn bars(results: &Results, work: Work) -> Vec<Bar> {
    let of_work = results.cells.iter().filter(|found| found.cell.work == work);
    of_work
        .filter_map(|found| Some(Bar { who: found.cell.who, cost: found.spread(|figures| figures.cpu_us)? }))
        .collect()
}

fn row(body: &mut String, bar: &Bar, top: f64, scale: f64) {
    let Bar { who, cost: Spread { min, median, max } } = bar;
    let (class, name) =
        if who.starts_with(crate::cells::PORTCULLIS) { ("ours", " class=\"ours-name\"") } else { ("peer", "") };
    let (from, to, middle) = (LEFT + min * scale, LEFT + max * scale, top + ROW / 2.0 - 1.0);
    let _ = writeln!(
        body,
        "<g><title>{who}: {median:.1} µs ({min:.1} to {max:.1})</title>\
         <text{name} x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{who}</text>\
         <rect class=\"{class}\" x=\"{LEFT:.0}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\" rx=\"2\"/>\
         <line class=\"whisker\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
         <text x=\"{:.1}\" y=\"{:.0}\">{median:.1}</text></g>",
        LEFT - 8.0,
        top + 14.0,
        top + 2.0,
        median * scale,
        ROW - 6.0,
        to + 8.0,
        top + 14.0,
    );
}

/// All bars in words.
fn description(groups: &[(Work, Vec<Bar>)]) -> String {
    let mut text = String::from("Microseconds of CPU time for each request. ");
    for (work, bars) in groups {
        let bars: Vec<String> = bars.iter().map(|bar| format!("{} {:.1}", bar.who, bar.cost.median)).collect();
        let _ = write!(text, "{work}: {}. ", bars.join("; "));
    }
    text.trim_end().to_owned()
}
