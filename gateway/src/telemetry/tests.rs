use std::sync::{Arc, Mutex};

use super::*;

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    pub(super) fn during(&self, format: LogFormat, filter: BoxedFilter, act: impl FnOnce()) -> String {
        let captured = self.clone();
        let layer = lines(format, move || captured.clone(), filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

#[test]
fn json_escapes_what_poses_as_a_line_and_means_the_same() {
    let agent = "a\u{85}b\u{2028}c\u{9b}2J\u{202e}d\u{7f}\u{e0041}\u{1b}é";
    let text = Captured::default().during(LogFormat::Json, Box::new(audible(tracing::Level::INFO)), || {
        tracing::info!(target: "api", agent, "a line");
    });
    let (line, end) = text.split_at(text.len() - 1);
    assert!(end == "\n" && !line.contains(char::is_control), "{text:?}");
    assert!(!line.contains(['\u{2028}', '\u{202e}', '\u{e0041}']) && line.contains('é'), "{text:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["agent"], agent);
}

#[test]
fn each_stream_has_its_file_and_errors_stand_in_one() {
    let belongs = |stream| {
        Captured::default().during(LogFormat::Text, belongs_to(stream, tracing::Level::INFO), || {
            tracing::info!(target: "auth", "one");
            tracing::info!(target: "api", "two");
            tracing::warn!(target: "pingora_core", "three");
            tracing::debug!(target: "auth", "four");
        })
    };
    let words = |text: String| {
        text.lines().filter_map(|line| line.split(' ').next_back().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(words(belongs("auth")), ["one"]);
    assert_eq!(words(belongs("api")), ["two"]);
    assert_eq!(words(belongs("error")), ["three"]);
}

#[test]
fn libraries_are_never_heard_below_warn() {
    let text = Captured::default().during(LogFormat::Text, Box::new(audible(tracing::Level::TRACE)), || {
        tracing::info!(target: "pingora_core::protocols", "Authorization: Bearer sekret");
        tracing::trace!(target: "fred", "SET sekret");
        tracing::trace!(target: "auth", "ours");
    });
    assert!(!text.contains("sekret") && text.contains("ours"), "{text}");
}

#[test]
fn what_the_engine_quotes_of_a_broken_head_is_never_heard() {
    let quote = || tracing::error!(target: "pingora_proxy", "Fail to proxy: buf: HTTP/1.1 Set-Cookie: sekret");
    for filter in [Box::new(audible(tracing::Level::TRACE)), belongs_to("error", tracing::Level::TRACE)] {
        assert_eq!(Captured::default().during(LogFormat::Text, filter, quote), "");
    }
}

#[test]
fn the_level_is_that_of_all_our_own_lines() {
    let speak = || {
        tracing::debug!(target: "portcullis::upstream", "one");
        tracing::warn!(target: "sqlx", "two");
        tracing::error!(target: "sqlx", "three");
    };
    let heard = |level| Captured::default().during(LogFormat::Text, Box::new(audible(level)), speak).lines().count();
    assert_eq!(heard(tracing::Level::DEBUG), 3);
    assert_eq!(heard(tracing::Level::INFO), 2);
    assert_eq!(heard(tracing::Level::ERROR), 1);
}

#[test]
fn no_value_of_a_text_line_ends_it() {
    let text = Captured::default().during(LogFormat::Text, Box::new(audible(tracing::Level::INFO)), || {
        let why = "gone\n2026-01-01 INFO auth: logged in";
        tracing::warn!(target: "error", %why, "the store said: {why}");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with("why=gone\\n2026-01-01 INFO auth: logged in\n"), "{text}");
}

#[test]
fn a_log_file_that_was_moved_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/auth.log");
    let file = LogFile::open(path.clone()).unwrap();
    let write = |text: &str| io::Write::write_all(&mut fmt::MakeWriter::make_writer(&file), text.as_bytes()).unwrap();
    write("old");
    std::fs::rename(&path, folder.path().join("auth.1")).unwrap();
    file.reopen().unwrap();
    write("new");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
}
