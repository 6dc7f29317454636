//! The report in Markdown: what was measured with, tables with the least, the median and the greatest of all rounds, what
//! could not be measured and why, and the aims. It says what was found and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::Wrong;
use crate::aims::{self, Bound};
use crate::bench::Pace;
use crate::cells::{self, Cell, Work};
use crate::clients::CONNECTIONS;
use crate::logins::LOGINS;
use crate::machine::{self, STOLEN};
use crate::measure::{Figures, Latency};
use crate::results::{Found, Results, Spread};

/// How it was measured.
pub(crate) struct Call<'a> {
    pub(crate) command: &'a str,
    pub(crate) took: Duration,
    /// The share of the machine that its host took meanwhile.
    pub(crate) stolen: f64,
    pub(crate) pace: Pace,
    pub(crate) portcullis: &'a Path,
    pub(crate) envoy: &'a Path,
}

/// What is said of one cell as soon as it was measured.
pub(crate) fn line(cell: &Cell, outcome: &Result<Figures, Wrong>) -> String {
    let figures = match outcome {
        Ok(figures) => figures,
        Err(wrong) => return format!("{:44} {wrong}", cell.id()),
    };
    let Figures { cpu_us, per_second, busy_percent, memory_mib, latency } = figures;
    let latency = latency.map_or_else(String::new, |latency| {
        let Latency { p50, usual_p99, p99, p999 } = latency;
        format!("   p50 {p50:5.0}  usual p99 {usual_p99:5.0}  p99 {p99:5.0}  p99.9 {p999:5.0} µs")
    });
    format!(
        "{:44} {cpu_us:8.1} µs  {per_second:7.0}/s  busy {busy_percent:3.0} %  {memory_mib:4.0} MiB{latency}",
        cell.id()
    )
}

/// All of it.
pub(crate) fn write(results: &Results, call: &Call<'_>) -> String {
    let mut text = String::new();
    head(&mut text, results, call);
    aims_table(&mut text, results);
    cost_table(&mut text, results);
    latency_table(&mut text, results);
    idle_table(&mut text, results);
    logins_table(&mut text, results, call);
    wrongs(&mut text, results);
    versions(&mut text, call);
    text
}

fn head(text: &mut String, results: &Results, call: &Call<'_>) {
    let Pace { rounds, span, paced, .. } = call.pace;
    let _ = writeln!(
        text,
        "# What a request costs\n\n\
         Measured on {}, by `{}` in {} minutes, on {}. The contender has one core and one worker; the load, the upstream \
         and Redis share the other core. {CONNECTIONS} connections that are kept; every answer is checked. {rounds} rounds, \
         in each of which every contender has its turn: {:.1} s as fast as it can, and {:.1} s at {} requests a second. \
         A turn in which the host took more than {:.0} % of the machine is repeated, twice at the most; in all it took \
         {:.1} %. What does not refuse a missing, expired or tampered token, or does not name its user to the upstream whatever \
         the client says, is not measured.\n\n\
         ![CPU time for each request, by contender](results.svg)\n",
        machine::today(),
        call.command,
        call.took.as_secs().div_ceil(60),
        machine::processor(),
        span.measured.as_secs_f64(),
        paced.measured.as_secs_f64(),
        results.rate,
        STOLEN * 100.0,
        call.stolen * 100.0,
    );
}

fn aims_table(text: &mut String, results: &Results) {
    let _ = writeln!(text, "## Aims\n\n| aim | bound | median | by round | |\n|---|---|---|---|---|");
    for aim in aims::all(results) {
        let (sign, bound, unit) = match aim.bound {
            Bound::AtMost(bound, unit) => ("≤", bound, unit),
            Bound::AtLeast(bound, unit) => ("≥", bound, unit),
        };
        let (median, range) = aim.found.map_or_else(Default::default, |found| {
            (format!("{:.2}{unit}", found.median), format!("{:.2} – {:.2}", found.min, found.max))
        });
        let _ = writeln!(text, "| {} | {sign} {bound}{unit} | {median} | {range} | {} |", aim.what, aim.verdict());
    }
    text.push('\n');
}

/// The median, and the least and the greatest if they are others.
fn three(spread: Option<Spread>, digits: usize) -> String {
    let Some(Spread { min, median, max }) = spread else { return "–".to_owned() };
    match [min, median, max].map(|value| format!("{value:.digits$}")) {
        [min, median, max] if min == max => median,
        [min, median, max] => format!("**{median}** ({min} – {max})"),
    }
}

fn cost_table(text: &mut String, results: &Results) {
    let _ = writeln!(
        text,
        "## CPU time, throughput, memory\n\n\
         Medians, with the least and the greatest of all rounds. CPU time is that of all processes of the contender, in \
         user and system mode. The ratio is to bare Pingora's pass-through in the same round.\n\n\
         | | CPU µs a request | ratio | requests a second | resident MiB |\n|---|---|---|---|---|"
    );
    let bare = results.find(Work::PassThrough, cells::BARE);
    for work in Work::ALL {
        let of_work: Vec<_> = results.cells.iter().filter(|found| found.cell.work == work).collect();
        if of_work.is_empty() {
            continue;
        }
        let _ = writeln!(text, "| **{work}** | | | | |");
        for found in of_work {
            let _ = writeln!(text, "{}", cost_row(found, bare));
        }
    }
    let _ = writeln!(
        text,
        "\nPortcullis's rows with a check look up revocations too (`mode = \"replicated\"` unless they say otherwise). \
         \"Everything on\" is the check of an ES256 token, revocation, a limit by user, identity headers, metrics and an \
         access line for each request; its peers' rows do without all of these but the check. nginx of Debian has no JWT \
         check of its own, so Lua calls OpenSSL (`peers/jwt.lua`); HAProxy has no cache of checked tokens. A \
         guided build is what `deploy/build-release --pgo` makes. Where it was measured, the aims hold it against HAProxy \
         and Envoy, which are as they are distributed; bare Pingora is built like the other, and held against that.\n"
    );
}

fn cost_row(found: &Found<Figures>, bare: Option<&Found<Figures>>) -> String {
    let who = found.cell.who;
    if found.rounds.is_empty() {
        return format!("| {who} | not measured, see below | | | |");
    }
    let ratio = bare.and_then(|bare| found.compared(bare, |ours, bare| ours.cpu_us / bare.cpu_us));
    let median = |figure: fn(&Figures) -> f64| found.spread(figure).map_or(0.0, |spread| spread.median);
    let busy = median(|figures| figures.busy_percent);
    let starved = if busy < 90.0 { format!(", core {busy:.0} % busy") } else { String::new() };
    format!(
        "| {who} | {} | {} | {:.0}{starved} | {:.0} |",
        three(found.spread(|figures| figures.cpu_us), 1),
        three(ratio, 2),
        median(|figures| figures.per_second),
        median(|figures| figures.memory_mib),
    )
}

fn latency_table(text: &mut String, results: &Results) {
    let _ = writeln!(
        text,
        "## Latency at {} requests a second\n\n\
         The rate is {}. Times in microseconds from the moment at which a request was due, so that a late one counts in \
         full. The usual p99 is the median of those of every thousand answers: pauses that fall into fewer than half of \
         those, the host's or the contender's, are in the other two only. Who can hardly do so many is left out.\n\n| | p50 | usual p99 | p99 | p99.9 |\n|---|---|---|---|---|",
        results.rate, results.rate_is_of
    );
    for found in results.cells.iter().filter(|found| found.cell.paced && !found.rounds.is_empty()) {
        let (work, who) = (found.cell.work, found.cell.who);
        let of = |figure: fn(&Latency) -> f64| {
            Spread::of(found.rounds.iter().filter_map(|figures| figures.latency.as_ref().map(figure)))
        };
        if of(|latency| latency.p50).is_none() {
            let _ = writeln!(text, "| {work}: {who} | too slow for this rate | | | |");
            continue;
        }
        let figures = [of(|of| of.p50), of(|of| of.usual_p99), of(|of| of.p99), of(|of| of.p999)];
        let _ = writeln!(text, "| {work}: {who} | {} |", figures.map(|figure| three(figure, 0)).join(" | "));
    }
    text.push('\n');
}

fn idle_table(text: &mut String, results: &Results) {
    let Some(idle) = results.idle.iter().find_map(|found| found.rounds.first()) else { return };
    let _ = writeln!(
        text,
        "## Idle connections\n\n\
         {} connections, each used for one request and idle since; what the contender keeps resident for each.\n\n\
         | | bytes a connection | MiB before | MiB with all |\n|---|---|---|---|",
        idle.connections
    );
    for found in results.idle.iter().filter(|found| !found.rounds.is_empty()) {
        let bytes = three(found.spread(crate::idle::Idle::bytes_each), 0);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mebibytes = |at: usize| found.spread(|idle| idle.memory_kib[at] as f64 / 1024.0);
        let [before, with] = [0, 1].map(|at| mebibytes(at).map_or(0.0, |spread| spread.median));
        let _ = writeln!(text, "| {} | {bytes} | {before:.0} | {with:.0} |", found.cell.who);
    }
    text.push('\n');
}

fn logins_table(text: &mut String, results: &Results, call: &Call<'_>) {
    if results.logins.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "## Reads while passwords are checked\n\n\
         200 authenticated reads a second of the posts and users service, for {} s each round without logins and as long \
         while {LOGINS} logins a second are tried. The gateway has one core, the service both. Microseconds.\n\n\
         | round | p50 quiet | p99 quiet | p50 with logins | p99 with logins | ratio of p99 | logins a second | refused |\n\
         |---|---|---|---|---|---|---|---|",
        call.pace.logins.as_secs()
    );
    for (round, logins) in results.logins.iter().enumerate() {
        let (quiet, busy) = (logins.quiet, logins.busy);
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} |",
            round + 1,
            quiet.p50,
            quiet.p99,
            busy.p50,
            busy.p99,
            busy.p99 / quiet.p99,
            logins.done,
            logins.refused
        );
    }
    text.push('\n');
}

fn wrongs(text: &mut String, results: &Results) {
    let wrongs = results.wrongs();
    if wrongs.is_empty() {
        return;
    }
    let _ = writeln!(text, "## Not measured\n");
    for (what, why) in wrongs {
        let _ = writeln!(text, "- {what}: {}", why.replace('\n', " "));
    }
    text.push('\n');
}

fn versions(text: &mut String, call: &Call<'_>) {
    let _ = writeln!(text, "## Versions\n\n| | |\n|---|---|");
    for (name, version) in machine::versions(call.portcullis, call.envoy) {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    let _ = writeln!(
        text,
        "\nConfigurations are those in [`peers/`](peers), as the manuals of the contenders have them; nothing in them is \
         tuned for this."
    );
}
