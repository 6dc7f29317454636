//! Lines on their way out: a queue for each place that lines go to, and a thread that empties it. A reader
//! that stalls (a full pipe, a slow disk) must not stall requests, so nobody waits for room: a line that
//! finds none is lost, and counted. Access lines come as records, which that thread formats; what else is written here
//! was formatted by others.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

use super::access::Record;
use super::line::Writer;

/// The most bytes that wait to be written; about twenty thousand access lines.
const MOST_WAITING: usize = 8 * 1024 * 1024;
/// So many bytes are written at once while more are waiting.
const BATCH: usize = 64 * 1024;

/// So long lines gather before the next are written: to wake a thread for each line costs more than the line.
const GATHER: Duration = Duration::from_millis(10);

/// How often lost lines are spoken of. Each time is a line, which may be lost too: on a full disk that never ended.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Lines on their way to one place. Clones are the same queue.
#[derive(Clone)]
pub(super) struct Queue {
    messages: Sender<Message>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

enum Message {
    Line(Vec<u8>),
    Record(Record),
    /// Everything before this is written when its channel closes.
    Flush(Sender<()>),
}

impl Queue {
    /// Starts to write lines to `sink`, those of records by `writer`, until the last clone is dropped.
    pub(super) fn to<W>(sink: W, writer: Writer) -> io::Result<Self>
    where
        W: for<'w> MakeWriter<'w> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        let queue = Self { messages: sender, load: Arc::default() };
        let load = Arc::clone(&queue.load);
        thread::Builder::new().name("logs".to_owned()).spawn(move || write_out(&receiver, &load, &sink, writer))?;
        Ok(queue)
    }

    fn push(&self, line: &[u8]) {
        self.send(line.len(), || Message::Line(line.to_vec()));
    }

    /// Has the line of `record` written.
    pub(super) fn push_record(&self, record: Record) {
        self.send(record.size(), || Message::Record(record));
    }

    fn send(&self, size: usize, message: impl FnOnce() -> Message) {
        let waiting = self.load.waiting.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if waiting > MOST_WAITING || self.messages.send(message()).is_err() {
            self.load.waiting.fetch_sub(size, Ordering::Relaxed);
            self.load.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything so far is written: whether it was, within `deadline`.
    pub(super) fn flush(&self, deadline: Duration) -> bool {
        let (done, written) = mpsc::channel();
        let asked = self.messages.send(Message::Flush(done));
        asked.is_ok() && written.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.load.lost.load(Ordering::Relaxed)
    }
}

impl Write for &Queue {
    /// Takes one line: the subscriber writes each in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = &'w Queue;

    fn make_writer(&'w self) -> &'w Queue {
        self
    }
}

fn write_out<W: for<'w> MakeWriter<'w>>(messages: &Receiver<Message>, load: &Load, sink: &W, mut writer: Writer) {
    let (mut told, mut told_at) = (0, None::<Instant>);
    let mut lines = Vec::new();
    while let Ok(first) = messages.recv() {
        let Batch { size, flushed } = batch(first, messages, &mut writer, &mut lines);
        if write(sink, &lines).is_err() {
            let lost = lines.split_inclusive(|byte| *byte == b'\n').count();
            load.lost.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        lines.clear();
        lines.shrink_to(2 * BATCH);
        load.waiting.fetch_sub(size, Ordering::Relaxed);
        let in_haste = !flushed.is_empty();
        drop(flushed);
        let lost = load.lost.load(Ordering::Relaxed);
        // Only when the jam is over, or this line would be lost like the others.
        let may_tell = told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if lost > told && may_tell && load.waiting.load(Ordering::Relaxed) == 0 {
            warn!(target: "error", lines = lost - told, "log lines were lost");
            (told, told_at) = (lost, Some(Instant::now()));
        }
        if !in_haste && load.waiting.load(Ordering::Relaxed) < BATCH {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own gathers lines; nobody waits for it")]
            thread::sleep(GATHER);
        }
    }
}

/// What was taken from a queue at once.
struct Batch {
    /// So many bytes do not wait any more.
    size: usize,
    /// Who wants to know when it is written.
    flushed: Vec<Sender<()>>,
}

/// Takes `first` and what waits behind it, and makes `lines` of it.
fn batch(first: Message, messages: &Receiver<Message>, writer: &mut Writer, lines: &mut Vec<u8>) -> Batch {
    let mut batch = Batch { size: 0, flushed: Vec::new() };
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Line(line) => {
                batch.size += line.len();
                lines.extend_from_slice(&line);
            }
            Message::Record(record) => {
                batch.size += record.size();
                writer.write(&record, lines);
            }
            Message::Flush(done) => batch.flushed.push(done),
        }
        next = if lines.len() < BATCH { messages.try_recv().ok() } else { None };
    }
    batch
}

fn write<W: for<'w> MakeWriter<'w>>(sink: &W, lines: &[u8]) -> io::Result<()> {
    let mut writer = sink.make_writer();
    writer.write_all(lines)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::LogFormat;

    const PATIENT: Duration = Duration::from_secs(10);

    /// A pipe that takes nothing while it is held shut.
    #[derive(Clone, Default)]
    struct Pipe {
        gate: Arc<Mutex<()>>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.gate.lock().unwrap();
            self.read.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer() -> Writer {
        Writer::new(LogFormat::Json, Arc::default())
    }

    fn queue(pipe: &Pipe) -> Queue {
        let pipe = pipe.clone();
        Queue::to(move || pipe.clone(), writer()).unwrap()
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let pipe = Pipe::default();
        let queue = queue(&pipe);
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}\n")).collect();
        for line in &lines {
            queue.push(line.as_bytes());
        }
        assert!(queue.flush(PATIENT));
        assert_eq!(*pipe.read.lock().unwrap(), lines.concat().into_bytes());
        assert_eq!(queue.lost(), 0);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_but_stalls_nobody() {
        let pipe = Pipe::default();
        let queue = queue(&pipe);
        let stalled = pipe.gate.lock().unwrap();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..20 {
            queue.push(&line);
        }
        assert!(!queue.flush(Duration::from_millis(1)), "nothing was read yet");
        drop(stalled);
        assert!(queue.flush(PATIENT));
        let written = pipe.read.lock().unwrap().len() / line.len();
        assert!((8..20).contains(&written), "{written}");
        assert_eq!(queue.lost(), 20 - u64::try_from(written).unwrap());
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_lost_and_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let queue = Queue::to(Arc::new(full), writer()).unwrap();
        for _ in 0..3 {
            queue.push(b"line\n");
        }
        assert!(queue.flush(PATIENT));
        assert_eq!(queue.lost(), 3);
    }

    #[test]
    fn a_jam_that_is_over_leaves_no_trace() {
        let pipe = Pipe::default();
        let queue = queue(&pipe);
        for _ in 0..20 {
            queue.push(&vec![b'x'; 1024 * 1024]);
            assert!(queue.flush(PATIENT));
        }
        assert_eq!(queue.lost(), 0);
    }
}
