//! How a client of one HTTP/2 connection behaves: what it asks for and takes back, or asks for in ways that can't be
//! read, or asks for when it was told to go. Honest clients do little of these. Nothing here reads a clock or closes a
//! connection.

/// How many requests a client may send that can't be read.
const MAX_REJECTED: u32 = 32;
/// How many requests a client may take back beyond those that it waited for: a page that is left takes back all at
/// once, an attacker takes back all that it asks for (CVE-2023-44487).
const MAX_TAKEN_BACK: u32 = 200;

/// How many requests a client may send after it was told to go: as many as can be on their way then, and once more as
/// many. One that never reads that, or never acknowledges the ping behind it, would stay for ever.
const MAX_LATE: u32 = 2 * super::MAX_STREAMS;

/// What is known of a client.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    rejected: u32,
    taken_back: u32,
    late: u32,
}

impl Conduct {
    /// Notes a request that could not be read.
    pub(super) fn rejected(&mut self) {
        self.rejected = self.rejected.saturating_add(1);
    }

    /// Notes the end of a request: whether it was answered to its end.
    pub(super) fn ended(&mut self, answered: bool) {
        self.taken_back = if answered { self.taken_back.saturating_sub(1) } else { self.taken_back.saturating_add(1) };
    }

    /// Notes a request that came after the client was told to go.
    pub(super) fn late(&mut self) {
        self.late = self.late.saturating_add(1);
    }

    /// Whether it may go on.
    pub(super) fn is_tolerable(&self) -> bool {
        self.rejected <= MAX_REJECTED && self.taken_back <= MAX_TAKEN_BACK && self.late <= MAX_LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_back_more_than_it_waits_for_is_sent_away() {
        let mut conduct = Conduct::default();
        for _ in 0..MAX_TAKEN_BACK * 10 {
            conduct.ended(false);
            conduct.ended(true);
        }
        assert!(conduct.is_tolerable(), "it waits for as many");
        for _ in 0..MAX_TAKEN_BACK {
            conduct.ended(false);
        }
        assert!(conduct.is_tolerable());
        conduct.ended(false);
        assert!(!conduct.is_tolerable());
    }

    #[test]
    fn who_often_sends_what_can_not_be_read_is_sent_away() {
        let mut conduct = Conduct::default();
        for _ in 0..MAX_REJECTED {
            conduct.rejected();
            conduct.ended(true);
        }
        assert!(conduct.is_tolerable());
        conduct.rejected();
        assert!(!conduct.is_tolerable());
    }

    #[test]
    fn who_goes_on_asking_when_told_to_go_is_sent_away() {
        let mut conduct = Conduct::default();
        for _ in 0..MAX_LATE {
            conduct.late();
        }
        assert!(conduct.is_tolerable(), "these may have been on their way");
        conduct.late();
        assert!(!conduct.is_tolerable());
    }
}
