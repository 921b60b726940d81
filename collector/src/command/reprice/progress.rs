//! How far a run is: a bar that is drawn over itself where a person watches, now and then a line where a file takes it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks of a person, and between two lines of a file.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
const WIDTH: u64 = 40;

/// The progress of one run.
pub struct Progress {
    out: Box<dyn Write + Send>,
    is_watched: bool,
    begun: Instant,
    shown: Option<Instant>,
    total: u64,
    done: u64,
}

impl Progress {
    /// On standard error.
    pub fn on_stderr() -> Self {
        let is_watched = std::io::stderr().is_terminal();
        Self::on(Box::new(std::io::stderr()), is_watched)
    }

    /// On anything; a person who watches sees a bar.
    pub fn on(out: Box<dyn Write + Send>, is_watched: bool) -> Self {
        Self { out, is_watched, begun: Instant::now(), shown: None, total: 0, done: 0 }
    }

    pub(super) fn begin(&mut self, total: u64) {
        (self.total, self.begun) = (total, Instant::now());
        self.show();
    }

    pub(super) fn add(&mut self, calls: u64) {
        self.done += calls;
        let pause = if self.is_watched { PAUSES.0 } else { PAUSES.1 };
        if self.shown.is_none_or(|shown| shown.elapsed() >= pause) {
            self.show();
        }
    }

    pub(super) fn end(&mut self) {
        self.show();
        if self.is_watched {
            let _ = writeln!(self.out);
        }
    }

    /// Nobody may be there to see it.
    fn show(&mut self) {
        self.shown = Some(Instant::now());
        let Self { total, done, .. } = *self;
        let seconds = self.begun.elapsed().as_secs();
        let rate = done / seconds.max(1);
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        let _ = if self.is_watched {
            let filled = usize::try_from((done * WIDTH).checked_div(total).unwrap_or(WIDTH)).unwrap_or(0);
            let bar = format!("{:.<40}", "#".repeat(filled));
            write!(self.out, "\r[{bar}] {percent:3} %  {done} of {total} calls, {rate} a second ")
        } else {
            writeln!(self.out, "reprice: {done} of {total} calls ({percent} %), {seconds} s")
        };
        let _ = self.out.flush();
    }
}
