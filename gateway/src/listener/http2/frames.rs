//! Where frames begin in the bytes of an HTTP/2 connection (RFC 9113 §4.1), whatever pieces they come in. What is in
//! them is passed over.

/// Bytes before a frame's payload.
const HEAD: usize = 9;
const END_STREAM: u8 = 1;

/// What a frame asks of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A part of a body, or its end.
    Data,
    /// The head of a message.
    Headers,
    /// Anything else, and data that is none.
    Other,
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that are no head: of the preface, or of a payload.
    passed_over: usize,
    head: [u8; HEAD],
    known: usize,
}

impl Frames {
    /// Frames that begin after so many bytes.
    pub(super) fn after(preface: usize) -> Self {
        Self { passed_over: preface, head: [0; HEAD], known: 0 }
    }

    /// Tells of each frame that begins in `bytes`, which follow those of before.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        loop {
            let over = self.passed_over.min(bytes.len());
            self.passed_over -= over;
            let taken = (HEAD - self.known).min(bytes.len() - over);
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[over..over + taken]);
            self.known += taken;
            bytes = &bytes[over + taken..];
            if self.known < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            self.passed_over = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.known = 0;
            each(match kind {
                0 if self.passed_over > 0 || flags & END_STREAM != 0 => Frame::Data,
                1 => Frame::Headers,
                _ => Frame::Other,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATA: &[u8] = b"\0\0\x03\0\0\0\0\0\x01abc";
    const EMPTY: &[u8] = b"\0\0\0\0\0\0\0\0\x01";
    const LAST: &[u8] = b"\0\0\0\0\x01\0\0\0\x01";
    const HEADERS: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x82";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\x0012345678";

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn frames_are_found_in_whatever_pieces_they_come(cuts in proptest::collection::vec(1_usize..20, 1..60)) {
                let bytes = [b"preface".as_slice(), PING, HEADERS, DATA, EMPTY, LAST, PING].concat();
                let (mut frames, mut found, mut rest) = (Frames::after(7), Vec::new(), &bytes[..]);
                for cut in cuts.iter().cycle() {
                    let (piece, after) = rest.split_at((*cut).min(rest.len()));
                    frames.follow(piece, |frame| found.push(frame));
                    rest = after;
                    if rest.is_empty() {
                        break;
                    }
                }
                let expected = [Frame::Other, Frame::Headers, Frame::Data, Frame::Other, Frame::Data, Frame::Other];
                prop_assert_eq!(found, expected);
            }
        }
    }
}
