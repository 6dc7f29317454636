//! What a request costs Portcullis, and what it costs those whom users would choose instead: one process on one core, one
//! worker, 64 connections that are kept; the load, the upstream and Redis share another core. Contenders take turns
//! within each round. It prints what it finds, writes a report and a chart, and judges nothing but the answers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

mod aims;
mod bench;
mod cells;
mod chart;
mod clients;
mod contender;
mod idle;
mod keys;
mod logins;
mod machine;
mod measure;
mod report;
mod results;

use bench::{Bench, Pace};
use cells::{Cell, Work};
use contender::Programs;
use machine::{Stolen, undisturbed};
use results::{Found, Results};

/// Why something could not be measured.
type Wrong = String;

/// Compares what requests cost; `tests/bench/run` builds and installs what this needs.
#[derive(Parser)]
struct Terms {
    /// One short round: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Only what has one of these in its name, as --list shows them; commas part them.
    #[arg(long, value_delimiter = ',', value_name = "TEXT")]
    only: Vec<String>,
    /// Say what there is to measure, and end.
    #[arg(long)]
    list: bool,
    /// Rounds, instead of 5.
    #[arg(long)]
    rounds: Option<usize>,
    /// Requests a second where latencies are measured, instead of half of what everything on can do.
    #[arg(long)]
    rate: Option<f64>,
    /// The gateway to measure, instead of the one beside this program.
    #[arg(long, value_name = "FILE")]
    portcullis: Option<PathBuf>,
    /// The same, by a build that a profile guided; it is measured beside the other.
    #[arg(long, value_name = "FILE")]
    guided: Option<PathBuf>,
    /// Envoy's program.
    #[arg(long, value_name = "FILE", default_value = "envoy")]
    envoy: PathBuf,
    /// Where to write RESULTS.md and results.svg.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// How this was called, for the report.
    #[arg(long, value_name = "TEXT", default_value = "bench-compare")]
    called: String,
}

/// The names of what is no cell.
const LOGINS: &str = "logins";

/// One thread: the load is to take as little as it can from the core that it shares.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let terms = Terms::parse();
    if terms.list {
        list();
        return ExitCode::SUCCESS;
    }
    match run(&terms).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("bench-compare: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    let (cells, idle) = (cells::all(), cells::idle());
    let ids = cells.iter().map(Cell::id).chain(idle.iter().map(idle_id)).chain([LOGINS.to_owned()]);
    println!("{}", ids.collect::<Vec<_>>().join("\n"));
}

fn idle_id(cell: &Cell) -> String {
    format!("idle/{}", cell.who.to_ascii_lowercase())
}

/// Whether all that was asked for could be measured.
async fn run(terms: &Terms) -> Result<bool, Wrong> {
    let (began, stolen) = (Instant::now(), Stolen::now());
    let mut pace = if terms.quick { Pace::QUICK } else { Pace::FULL };
    pace.rounds = terms.rounds.unwrap_or(pace.rounds).max(1);
    let bench = Bench::start(pace, programs(terms)?).await?;
    let wanted =
        |id: &str| terms.only.is_empty() || terms.only.iter().any(|text| id.contains(&text.to_ascii_lowercase()));
    let is_there = |cell: &Cell| terms.guided.is_some() || !cell.is_guided();
    let mut results = Results {
        cells: cells::all()
            .into_iter()
            .filter(|cell| is_there(cell) && wanted(&cell.id()))
            .map(Found::nothing)
            .collect(),
        idle: cells::idle().into_iter().filter(|cell| wanted(&idle_id(cell))).map(Found::nothing).collect(),
        logins: Vec::new(),
        logins_wrong: None,
        rate: 0.0,
        rate_is_of: String::new(),
    };
    calibrate(&mut results, terms.rate, &bench).await;
    for round in 1..=pace.rounds {
        measure_round(round, &mut results, &bench, wanted(LOGINS)).await;
    }
    let call = report::Call {
        command: &terms.called,
        took: began.elapsed(),
        stolen: stolen.share(),
        pace,
        portcullis: &bench.programs().portcullis,
        envoy: &terms.envoy,
    };
    let text = report::write(&results, &call);
    println!("\n{text}");
    save(&terms.out, "RESULTS.md", &text)?;
    save(&terms.out, "results.svg", &chart::draw(&results))?;
    let wrongs = results.wrongs();
    for (what, why) in &wrongs {
        eprintln!("bench-compare: {what}: {why}");
    }
    Ok(wrongs.is_empty())
}

fn programs(terms: &Terms) -> Result<Programs, Wrong> {
    let ours = std::env::current_exe().map_err(|why| why.to_string())?;
    let beside = |name: &str| ours.with_file_name(name);
    Ok(Programs {
        portcullis: terms.portcullis.clone().unwrap_or_else(|| beside("portcullis")),
        guided: terms.guided.clone(),
        backend: beside("portcullis-backend"),
        bare: beside("bench-bare"),
        envoy: terms.envoy.clone(),
    })
}

fn save(folder: &Path, name: &str, text: &str) -> Result<(), Wrong> {
    std::fs::write(folder.join(name), text).map_err(|why| format!("{}: {why}", folder.join(name).display()))
}

/// Latencies are measured at one rate for all: half of what the gateway can do with everything on, or the next best
/// that can be measured at all.
async fn calibrate(results: &mut Results, rate: Option<f64>, bench: &Bench) {
    if let Some(rate) = rate {
        results.rate = rate;
        "set by --rate".clone_into(&mut results.rate_is_of);
        return;
    }
    let candidates = [
        (Work::Everything, cells::REPLICATED_NAME),
        (Work::Everything, cells::EVERY_REQUEST_NAME),
        (Work::PassThrough, cells::BARE),
    ];
    for (work, who) in candidates {
        let cell = cells::all().into_iter().find(|cell| cell.work == work && cell.who == who);
        if let Some(cell) = cell
            && let Ok(figures) = measure::measure(&cell, bench, None).await
        {
            results.rate = (figures.per_second / 1000.0).floor() * 500.0;
            results.rate_is_of = format!("half of what {who} does with \"{work}\"");
            println!("latencies at {} requests a second: {}", results.rate, results.rate_is_of);
            return;
        }
    }
}

async fn measure_round(round: usize, results: &mut Results, bench: &Bench, logins: bool) {
    let rate = Some(results.rate).filter(|rate| *rate > 0.0);
    println!("\nround {round}");
    for found in results.cells.iter_mut().filter(|found| found.wrong.is_none()) {
        let outcome = measure::measure(&found.cell, bench, rate).await;
        println!("{}", report::line(&found.cell, &outcome));
        found.note(outcome);
    }
    for found in results.idle.iter_mut().filter(|found| found.wrong.is_none()) {
        let outcome = idle::measure(&found.cell, bench).await;
        match &outcome {
            Ok(idle) => println!("{:44} {:7.0} bytes a connection", idle_id(&found.cell), idle.bytes_each()),
            Err(wrong) => println!("{:44} {wrong}", idle_id(&found.cell)),
        }
        found.note(outcome);
    }
    if logins && results.logins_wrong.is_none() {
        match undisturbed(async || logins::measure(bench).await).await {
            Ok(found) => {
                println!("{LOGINS:44} p99 {:.0} µs quiet, {:.0} µs with logins", found.quiet.p99, found.busy.p99);
                results.logins.push(found);
            }
            Err(wrong) => {
                println!("{LOGINS:44} {wrong}");
                results.logins_wrong = Some(wrong);
            }
        }
    }
}
