//! However frames are cut into writes, their ends are found; checked against a parser of whole buffers.

use proptest::prelude::*;

use super::*;

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// One frame of this opcode, length and mask, with the length in the least form, or in a wider one.
fn frame(opcode: u8, length: usize, masked: bool, width: u8) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match (width, length) {
        (0, 0..126) => frame.push(mask | u8::try_from(length).unwrap()),
        (0 | 1, 0..65536) => {
            frame.push(mask | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            frame.push(mask | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(if masked { &b"mask"[..] } else { b"" });
    frame.extend((0..length).map(|byte| u8::try_from(byte % 251).unwrap()));
    frame
}

/// Where frames end in `bytes`, read as a whole.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (0, vec![0]);
    while at + 2 <= bytes.len() {
        let second = bytes[at + 1];
        let (length, header) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes[at + 2..at + 4].try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(bytes[at + 2..at + 10].try_into().unwrap()), 10),
            short => (u64::from(short), 2),
        };
        at += header + if second & 0x80 == 0 { 0 } else { 4 } + usize::try_from(length).unwrap();
        ends.push(at);
    }
    ends
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0_usize..8, 2 => 120_usize..132, 1 => 65530_usize..65542];
    (prop::sample::select(vec![0_u8, 1, 2, 9, 10]), length, any::<bool>(), 0_u8..3)
        .prop_map(|(opcode, length, masked, width)| frame(opcode, length, masked, width))
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn frames_are_whole_where_a_parser_of_the_whole_says(
            frames in prop::collection::vec(any_frame(), 0..6),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes = frames.concat();
            let ends = ends(&bytes);
            let mut cuts: Vec<_> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend(&ends);
            cuts.sort_unstable();
            let mut followed = Frames::new();
            followed.follow(SWITCHING);
            let mut from = 0;
            for cut in cuts {
                let next = ends.iter().copied().find(|end| *end >= from).unwrap();
                prop_assert_eq!(followed.unfinished(&bytes[from..]), next - from, "at {}", from);
                followed.follow(&bytes[from..cut]);
                prop_assert_eq!(followed.are_whole(), ends.contains(&cut), "at {}", cut);
                from = cut;
            }
            prop_assert!(!followed.are_closed());
        }
    }
}

#[test]
fn every_kind_of_frame_is_followed_byte_by_byte() {
    for masked in [false, true] {
        for (length, width) in [(0, 0), (1, 0), (125, 0), (126, 0), (3, 1), (65535, 1), (65536, 2), (0, 2)] {
            let frame = frame(2, length, masked, width);
            let mut frames = Frames::new();
            for byte in SWITCHING {
                assert!(!frames.are_whole(), "in the head");
                frames.follow(&[*byte]);
            }
            assert!(frames.are_whole());
            for (at, byte) in frame.iter().enumerate() {
                frames.follow(&[*byte]);
                assert_eq!(frames.are_whole(), at + 1 == frame.len(), "{length} {masked} {width}: byte {at}");
            }
        }
    }
}

#[test]
fn heads_before_the_one_that_switches_are_no_frames() {
    let mut frames = Frames::new();
    frames.follow(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    assert!(!frames.are_whole());
    frames.follow(SWITCHING);
    assert!(frames.are_whole());
    let mut refused = Frames::new();
    refused.follow(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}");
    assert!(!refused.are_whole(), "nothing was switched, so there is no place for a frame");
}

#[test]
fn after_a_close_frame_there_is_no_other() {
    let mut frames = Frames::new();
    frames.follow(SWITCHING);
    frames.follow(&frame(1, 300, false, 0));
    assert!(!frames.are_closed());
    frames.follow(&frame(8, 2, false, 0)[..1]);
    assert!(!frames.are_closed() && !frames.are_whole(), "one byte tells nothing yet");
    frames.follow(&frame(8, 2, false, 0)[1..]);
    assert!(frames.are_closed() && frames.are_whole());
}

#[test]
fn a_length_beyond_all_memory_is_no_overflow() {
    let mut frames = Frames::new();
    frames.follow(SWITCHING);
    frames.follow(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    frames.follow(&[0; 100]);
    assert!(!frames.are_whole());
    assert_eq!(frames.unfinished(&[0; 100]), 100);
}
