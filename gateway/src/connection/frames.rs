//! Where WebSocket frames end in what is written to a client (RFC 6455 §5.2), so that a frame of our own can
//! follow a whole one. Only lengths are read, and nothing is kept of what passes. It does no I/O.

/// The opcode of a Close frame.
const CLOSE: u8 = 0x8;
/// The longest frame header: two bytes, a length of eight, a mask of four.
const LONGEST_HEADER: usize = 14;

/// Follows what is written on a connection from the head of its answer on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames {
    at: At,
    closed: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The head of an answer: how many of its bytes passed, whether they can be those of a 101, and how much of
    /// the blank line at its end came last.
    Head { passed: u64, switches: bool, blank: u8 },
    /// A frame's header, of which so many bytes came.
    Header { bytes: [u8; LONGEST_HEADER], came: u8 },
    /// A frame's payload, of which so many bytes are to come.
    Payload { left: u64 },
}

impl At {
    const HEAD: Self = Self::Head { passed: 0, switches: true, blank: 0 };
    const BETWEEN: Self = Self::Header { bytes: [0; LONGEST_HEADER], came: 0 };
}

impl Frames {
    /// Nothing was written yet.
    pub(super) const fn new() -> Self {
        Self { at: At::HEAD, closed: false }
    }

    /// Whether a frame may follow here: the last one is whole.
    pub(super) fn are_whole(&self) -> bool {
        self.at == At::BETWEEN
    }

    /// Whether a Close frame began, after which no frame may follow (RFC 6455 §5.5.1).
    pub(super) fn are_closed(&self) -> bool {
        self.closed
    }

    /// Follows `bytes`, which were written.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// How many of `bytes`, which are to be written next, belong to what is not whole yet.
    pub(super) fn unfinished(mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while !self.are_whole() && taken < bytes.len() {
            taken += self.step(&bytes[taken..]);
        }
        taken
    }

    /// Takes a piece from the front of `bytes`, which are not none: how long it is. It never reaches into the
    /// next frame.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.at {
            At::Head { passed, switches, blank } => {
                *switches &= switches_so_far(*passed, bytes[0]);
                *blank = match (*blank, bytes[0]) {
                    (0 | 2, b'\r') | (1 | 3, b'\n') => *blank + 1,
                    (_, b'\r') => 1,
                    _ => 0,
                };
                *passed = passed.saturating_add(1);
                if *blank == 4 {
                    self.at = if *switches { At::BETWEEN } else { At::HEAD }; // After a 1xx comes another head.
                }
                1
            }
            At::Header { bytes: header, came } => {
                header[usize::from(*came)] = bytes[0];
                *came += 1;
                if let Some(left) = payload(&header[..usize::from(*came)]) {
                    self.closed |= header[0] & 0x0f == CLOSE;
                    self.at = if left == 0 { At::BETWEEN } else { At::Payload { left } };
                }
                1
            }
            At::Payload { left } => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                if *left == 0 {
                    self.at = At::BETWEEN;
                }
                here
            }
        }
    }
}

/// Whether a head whose byte `at` is `byte` can be that of a 101, by this byte alone.
fn switches_so_far(at: u64, byte: u8) -> bool {
    match at {
        9 | 11 => byte == b'1',
        10 => byte == b'0',
        _ => true,
    }
}

/// The length of the payload that follows `header`, once it is whole.
fn payload(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if header.len() < 2 + extended + mask {
        return None;
    }
    Some(match extended {
        0 => u64::from(second & 0x7f),
        _ => header[2..2 + extended].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    })
}

#[cfg(test)]
mod tests;
