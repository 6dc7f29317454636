//! Whether the chunks of a body can be read in one way only (RFC 9112 §7.1), and where they end, whatever pieces they
//! come in. It is stricter than the engine, which reads them too, so what both take is what is read. Nothing is kept of
//! what passes, and it does no I/O.

use crate::inbound::Malformed;

/// The most digits of a size: no sum of two such sizes overflows.
const MAX_DIGITS: u8 = 15;
/// The most that may stand around the data of one chunk, or after the last: less than the engine takes.
const MAX_AROUND: u16 = 8 * 1024;

/// The chunks of one body.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    at: At,
    /// Digits of the size that came.
    digits: u8,
    /// Bytes that came since the last data.
    around: u16,
    /// Bytes of the chunk's data that are to come.
    left: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    /// Whitespace before an extension, "bad" but to be taken (RFC 9112 §7.1.1).
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// A trailer, or the empty line at the end.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    /// What follows is none of the body's.
    End,
    /// Where the body ends is not known any more.
    Broken,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size, digits: 0, around: 0, left: 0 }
    }
}

impl Chunks {
    /// Follows `bytes`, which came next. What came after something malformed is malformed.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = match self.at {
                At::End => return Ok(()),
                At::Data => self.skip(bytes),
                _ => {
                    self.take(byte).inspect_err(|_| self.at = At::Broken)?;
                    rest
                }
            };
        }
        Ok(())
    }

    /// Whether something malformed came.
    pub(super) fn are_broken(&self) -> bool {
        self.at == At::Broken
    }

    /// Passes over data: what of `bytes` follows it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left -= here as u64;
        if self.left == 0 {
            *self = Self { at: At::DataCr, ..Self::default() };
        }
        &bytes[here..]
    }

    /// Takes a byte that is no data.
    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        self.around = self.around.saturating_add(1);
        if self.around > MAX_AROUND {
            return Err(Malformed::Chunk("what stands around its data is too long"));
        }
        if let (At::Size, Some(digit)) = (self.at, char::from(byte).to_digit(16)) {
            self.digits += 1;
            self.left = self.left << 4 | u64::from(digit);
            return if self.digits <= MAX_DIGITS { Ok(()) } else { Err(Malformed::Chunk("its size is too long")) };
        }
        self.at = self.after(byte)?;
        Ok(())
    }

    /// Where `byte`, which is no digit of a size, leads.
    fn after(&self, byte: u8) -> Result<At, Malformed> {
        Ok(match (self.at, byte) {
            (At::Size, _) if self.digits == 0 => return Err(Malformed::Chunk("it has no size")),
            (At::Size | At::Extension, b'\r') => At::SizeLf,
            (At::Size | At::Padding, b' ' | b'\t') => At::Padding,
            (At::Size | At::Padding, b';') => At::Extension,
            (At::SizeLf, b'\n') if self.left == 0 => At::Trailer,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Trailer, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => At::End,
            (At::Trailer | At::TrailerName, _) if is_token(byte) => At::TrailerName,
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::Trailer,
            (At::Extension | At::TrailerValue, b'\t' | b' '..=0x7e | 0x80..) => self.at,
            (At::DataCr | At::DataLf, _) => return Err(Malformed::Chunk("it does not end where its size says")),
            (At::Size | At::Padding | At::Extension | At::SizeLf, _) => {
                return Err(Malformed::Chunk("its size is not followed by a line's end or an extension"));
            }
            _ => return Err(Malformed::Chunk("what follows the last one is no header")),
        })
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether `bytes`, in pieces of this length, are chunks to their end, with nothing left over.
    fn are_whole(bytes: &[u8], piece: usize) -> Result<bool, Malformed> {
        let mut chunks = Chunks::default();
        for piece in bytes.chunks(piece) {
            chunks.follow(piece)?;
        }
        Ok(chunks.at == At::End)
    }

    #[test]
    fn chunks_have_one_reading() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(8 * 1024));
        let many = format!("0\r\n{}\r\n", "X: a\r\n".repeat(2000));
        for (bytes, expected) in [
            ("0\r\n\r\n", Some(true)),
            ("2\r\nab\r\n0\r\n\r\n", Some(true)),
            ("02\r\n\r\n\r\n000\r\n\r\n", Some(true)),
            ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Some(true)),
            ("1;a=\"b\" ;c\r\na\r\n0;d\r\n\r\n", Some(true)),
            ("1 \t;a\r\na\r\n0\r\n\r\n", Some(true)),
            ("0\r\nX-A: b\r\nY:\r\n\r\n", Some(true)),
            ("2\r\nab\r\n", Some(false)),
            ("2\r\nab\r\n0\r\n", Some(false)),
            ("\r\nab\r\n0\r\n\r\n", None),
            ("2\r\nab\r\n\r\n\r\n", None),
            (";a\r\n\r\n", None),
            ("x\r\n", None),
            ("2x\r\nab\r\n", None),
            ("-2\r\nab\r\n", None),
            ("+2\r\nab\r\n", None),
            ("0x2\r\nab\r\n", None),
            ("0_2\r\nab\r\n", None),
            (" 2\r\nab\r\n", None),
            ("2 \r\nab\r\n", None),
            ("2 2\r\nab\r\n", None),
            ("2\nab\r\n", None),
            ("2\r\r\nab\r\n", None),
            ("2;a\nab\r\n", None),
            ("2;a\0\r\nab\r\n", None),
            ("2\r\nab\n", None),
            ("2\r\nab\r0", None),
            ("2\r\nab0\r\n", None),
            ("2\r\nabc\r\n", None),
            ("1000000000000000\r\n", None),
            ("0\r\n\n", None),
            ("0\r\nX\r\n\r\n", None),
            ("0\r\n: a\r\n\r\n", None),
            ("0\r\nX: a\n\r\n", None),
            ("0\r\n X: a\r\n\r\n", None),
            ("0\r\nX: a\0\r\n\r\n", None),
            (&long, None),
            (&many, None),
        ] {
            for piece in [1, 2, usize::MAX] {
                assert_eq!(are_whole(bytes.as_bytes(), piece).ok(), expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_follows_is_of_no_concern_unless_something_was_malformed() {
        let mut chunks = Chunks::default();
        chunks.follow(b"0\r\n\r\nGET").unwrap();
        chunks.follow(b" / HTTP/1.1\r\n\r\n").unwrap();
        let mut chunks = Chunks::default();
        chunks.follow(b"x").unwrap_err();
        chunks.follow(b"0\r\n\r\n").unwrap_err();
        assert!(chunks.are_broken());
    }

    mod properties {
        use super::*;

        /// Where the engine's parser, which is `httparse`, sees the end of all chunks.
        fn end_for_the_engine(bytes: &[u8]) -> Option<usize> {
            let mut at = 0;
            loop {
                let httparse::Status::Complete((head, size)) = httparse::parse_chunk_size(&bytes[at..]).ok()? else {
                    return None;
                };
                at += head;
                if size == 0 {
                    let mut trailers = [httparse::EMPTY_HEADER; 64];
                    let (end, _) = httparse::parse_headers(&bytes[at..], &mut trailers).ok()?.unwrap();
                    return Some(at + end);
                }
                at += usize::try_from(size).ok()?;
                at += bytes.get(at..)?.starts_with(b"\r\n").then_some(2)?;
            }
        }

        /// Pieces of chunks, good and odd.
        fn pieces() -> impl Strategy<Value = Vec<u8>> {
            let piece = prop::sample::select(vec![
                "0",
                "1",
                "2",
                "a",
                "F",
                "\r\n",
                "\r\n",
                "\r\n",
                "0\r\n\r\n",
                "1\r\na\r\n",
                "2\r\nab\r\n",
                "\n",
                "\r",
                " ",
                "\t",
                ";",
                ";x",
                "=\"y\"",
                ":",
                "X: y",
                "-",
                "x",
                "\0",
                "é",
            ]);
            prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(4096))]

            #[test]
            fn what_is_taken_ends_where_the_engine_sees_the_end(bytes in pieces()) {
                let mut chunks = Chunks::default();
                for (at, byte) in bytes.iter().enumerate() {
                    if chunks.follow(&[*byte]).is_err() {
                        return Ok(());
                    }
                    if chunks.at == At::End {
                        prop_assert_eq!(end_for_the_engine(&bytes), Some(at + 1));
                        return Ok(());
                    }
                }
            }
        }

        proptest! {
            #[test]
            fn whole_chunks_are_taken_in_whatever_pieces_they_come(
                data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..9),
                piece in 1_usize..50,
            ) {
                let mut bytes = Vec::new();
                for data in data {
                    bytes.extend(format!("{:x}\r\n", data.len()).into_bytes());
                    bytes.extend(data);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
                prop_assert_eq!(are_whole(&bytes, piece), Ok(true));
            }
        }
    }
}
