//! A log file that can be opened anew after it was moved away. Each line is one write, so that lines of
//! several processes never mix. A line that can't be written is lost: logging never fails a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing_subscriber::fmt::MakeWriter;

/// A log file; clones write to the same.
#[derive(Clone)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Arc<ArcSwap<File>>,
}

impl LogFile {
    /// Opens the file, and makes it and its folder if they are not there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = Arc::new(ArcSwap::from_pointee(open(&path)?));
        Ok(Self { path, file })
    }

    /// Opens the file anew.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.file.store(Arc::new(open(&self.path)?));
        Ok(())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// A writer for one line.
pub(super) struct Line(Arc<File>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogFile {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(self.file.load_full())
    }
}
