//! What one client of HTTP/2 could cost: floods of frames that ask for nothing, requests that are taken back, headers
//! that grow when they are unpacked. Each is cut off, and others are served meanwhile.

use h2::Reason;
use portcullis_tests::http2::{Frames, Http2, frame, get};
use portcullis_tests::{Builder, Kind, Stack};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /public/x` of `gateway.test` over HTTP, without Huffman codes: `:method: GET`, `:scheme: http`, `:path`, and
/// `:authority`.
const GET: &[u8] = b"\x82\x86\x04\x09/public/x\x01\x0cgateway.test";
/// The same as a `POST`.
const POST: &[u8] = b"\x83\x86\x04\x09/public/x\x01\x0cgateway.test";

fn stack() -> Builder {
    Stack::builder(Kind::Embedded).extra("[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\n")
}

/// The number of a client's stream of this round.
fn stream(round: u32) -> u32 {
    round * 2 + 1
}

/// What is written again and again, by the round.
type Flood = fn(u32) -> Vec<u8>;

const FLOODS: [(&str, &str, Reason, Flood); 11] = [
    ("rapid reset", "CVE-2023-44487", Reason::ENHANCE_YOUR_CALM, |round| {
        let reset = frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream(round), GET), reset].concat()
    }),
    ("resets that the gateway is made to send", "CVE-2025-8671", Reason::PROTOCOL_ERROR, |round| {
        let no_window = frame(WINDOW_UPDATE, 0, stream(round), &[0, 0, 0, 0]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream(round), GET), no_window].concat()
    }),
    ("continuations without end", "CVE-2024-27316", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"),
    }),
    ("empty continuations", "CVE-2019-9518", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        _ => frame(CONTINUATION, 0, 1, b""),
    }),
    ("empty data", "CVE-2019-9518", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, POST),
        _ => frame(DATA, 0, 1, b""),
    }),
    ("pings", "CVE-2019-9512", Reason::ENHANCE_YOUR_CALM, |_| frame(PING, 0, 0, b"12345678").repeat(100)),
    ("settings", "CVE-2019-9515", Reason::ENHANCE_YOUR_CALM, |_| frame(SETTINGS, 0, 0, b"").repeat(100)),
    ("priorities", "CVE-2019-9513", Reason::ENHANCE_YOUR_CALM, |round| {
        frame(PRIORITY, 0, stream(round), &[0, 0, 0, 0, 1]).repeat(100)
    }),
    ("window updates", "CVE-2019-9517", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, POST),
        _ => frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).repeat(100),
    }),
    ("frames of kinds that nobody knows", "RFC 9113 §5.5", Reason::ENHANCE_YOUR_CALM, |_| {
        frame(0xbb, 0, 0, b"x").repeat(100)
    }),
    ("requests that can't be read", "RFC 9113 §8.1.1", Reason::ENHANCE_YOUR_CALM, |round| {
        let userinfo = b"\x82\x86\x04\x09/public/x\x01\x03a@b";
        frame(HEADERS, END_HEADERS | END_STREAM, stream(round), userinfo)
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_cut_off_and_others_are_served() {
    let stack = stack().start().await;
    let mut honest = Http2::connect(stack.listener("h2c")).await;
    for (name, source, reason, flood) in FLOODS {
        let (goaway, sent) = Frames::connect(stack.listener("h2c")).await.flood(flood).await;
        assert_eq!(goaway, Some(reason.into()), "{name} ({source}), after {sent} bytes");
        let answer = honest.send(get("/public/x").body(()).unwrap(), "").await.unwrap();
        assert_eq!(answer.status, 200, "{name}");
    }
}
