//! Removes one guard after another from a copy of the sources, and tells whether the tests that are said to hold it
//! fail. `mutants.toml` is the list; a guard that nobody misses is a guard that nobody tests. It never touches the
//! sources themselves.

mod list;
mod outcome;
mod programs;
mod tree;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use list::Mutant;
use outcome::{Outcome, Unclear};
use programs::{Programs, Verdict};
use tree::Tree;

/// Removes one guard after another, and tells whether a test fails for each.
#[derive(Parser)]
#[command(name = "mutants")]
struct Arguments {
    /// Only guards that have this in their name, file or test, or are tested by this program. Any number of times.
    #[arg(long)]
    only: Vec<String>,
    /// Only say which there are.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let Arguments { only, list } = Arguments::parse();
    let mut mutants = list::all();
    mutants.retain(|mutant| only.is_empty() || only.iter().any(|word| mutant.concerns(word)));
    if list {
        for Mutant { name, program, test, .. } in &mutants {
            println!("{name}: {program} {test}");
        }
        return ExitCode::SUCCESS;
    }
    if mutants.is_empty() {
        eprintln!("mutants: no guard has {only:?} in its name, file or test");
        return ExitCode::FAILURE;
    }
    match run(mutants) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("mutants: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every guard is held.
fn run(mut mutants: Vec<Mutant>) -> Result<bool, Unclear> {
    let tree = Tree::copied()?;
    let programs = Programs::new(&tree);
    mutants.sort_by(|one, other| one.program.cmp(&other.program)); // so that each program is built in one go
    let mut outcomes = Vec::new();
    for of_one_program in mutants.chunk_by(|one, other| one.program == other.program) {
        let whole = programs.run(&of_one_program[0].program, of_one_program.iter().map(|mutant| &*mutant.test))?;
        for mutant in of_one_program {
            let began = Instant::now();
            let outcome = Outcome::from(match whole.of(&mutant.test) {
                Verdict::Passed => without(&tree, &programs, mutant),
                // One that fails anyway proves nothing.
                Verdict::Failed(failed) => Err(Unclear::FailsAnyway(failed)),
                Verdict::Nothing => Err(Unclear::NoTest),
            });
            println!(
                "{}: {outcome} [{} s] ({} {})",
                mutant.name,
                began.elapsed().as_secs(),
                mutant.program,
                mutant.test
            );
            outcomes.push(outcome);
        }
    }
    let count = |kind: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| kind(outcome)).count();
    let caught = count(|outcome| matches!(outcome, Outcome::Caught(_)));
    let missed = count(|outcome| matches!(outcome, Outcome::Missed));
    println!(
        "{} guards: {caught} caught, {missed} missed, {} unclear",
        outcomes.len(),
        outcomes.len() - caught - missed
    );
    Ok(caught == outcomes.len())
}

/// What the tests of a guard say without it.
fn without(tree: &Tree, programs: &Programs<'_>, mutant: &Mutant) -> Result<Verdict, Unclear> {
    let _restored = tree.change(mutant)?;
    let ran = programs.run(&mutant.program, std::iter::once(&*mutant.test))?;
    Ok(ran.of(&mutant.test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_stands_where_the_list_says() {
        let stands = |mutant: &Mutant| mutant.applied_to(&tree::read(tree::root(), mutant)?);
        let wrong: Vec<_> =
            list::all().iter().filter_map(|m| Some(format!("{}: {}", m.name, stands(m).err()?))).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn each_guard_has_a_name_of_its_own() {
        let mut names: Vec<_> = list::all().into_iter().map(|mutant| mutant.name).collect();
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
