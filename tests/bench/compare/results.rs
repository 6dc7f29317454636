//! What all rounds found, and how rounds are put together: least, median and greatest. Ratios are taken inside each round
//! and put together afterwards, so that what changes between rounds does not count.

use crate::Wrong;
use crate::cells::{Cell, Work};
use crate::idle::Idle;
use crate::logins::Logins;
use crate::measure::Figures;

/// All that was found.
pub(crate) struct Results {
    pub(crate) cells: Vec<Found<Figures>>,
    pub(crate) idle: Vec<Found<Idle>>,
    pub(crate) logins: Vec<Logins>,
    pub(crate) logins_wrong: Option<Wrong>,
    /// Requests a second where latencies were measured, and whose half of saturation that is.
    pub(crate) rate: f64,
    pub(crate) rate_is_of: String,
}

/// What a cell came to, round by round.
pub(crate) struct Found<T> {
    pub(crate) cell: Cell,
    pub(crate) rounds: Vec<T>,
    /// Why there is nothing, or no more.
    pub(crate) wrong: Option<Wrong>,
}

/// Of several rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Nothing of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { min, median, max })
    }
}

impl<T> Found<T> {
    /// Not measured yet.
    pub(crate) fn nothing(cell: Cell) -> Self {
        Self { cell, rounds: Vec::new(), wrong: None }
    }

    /// Adds a round.
    pub(crate) fn note(&mut self, found: Result<T, Wrong>) {
        match found {
            Ok(found) => self.rounds.push(found),
            Err(wrong) => self.wrong = Some(wrong),
        }
    }

    /// One figure over all rounds.
    pub(crate) fn spread(&self, figure: impl Fn(&T) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(figure))
    }

    /// One figure in relation to that of another cell in the same round.
    pub(crate) fn compared(&self, other: &Self, relation: impl Fn(&T, &T) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().zip(&other.rounds).map(|(ours, theirs)| relation(ours, theirs)))
    }
}

impl Results {
    /// One cell.
    pub(crate) fn find(&self, work: Work, who: &str) -> Option<&Found<Figures>> {
        self.cells.iter().find(|found| found.cell.work == work && found.cell.who == who)
    }

    /// What was not measured, and why.
    pub(crate) fn wrongs(&self) -> Vec<(String, &str)> {
        let cells = self.cells.iter().filter_map(|found| Some((found.cell.id(), found.wrong.as_deref()?)));
        let idle = self.idle.iter().filter_map(|found| {
            Some((format!("idle/{}", found.cell.who.to_ascii_lowercase()), found.wrong.as_deref()?))
        });
        let logins = self.logins_wrong.as_deref().map(|wrong| ("logins".to_owned(), wrong));
        cells.chain(idle).chain(logins).collect()
    }
}
