//! A page that is drawn over itself on a terminal, and printed whole elsewhere.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a page is drawn on a terminal.
pub const REFRESH: Duration = Duration::from_secs(2);
/// How often it is printed where nothing can be drawn over.
pub const REPRINT: Duration = Duration::from_secs(20);

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Lines, that of the cursor among them.
    pub lines: usize,
}

impl Size {
    /// What terminals had, and have where nobody has made them larger.
    const USUAL: Self = Self { columns: 80, lines: 24 };

    /// How many lines a text takes: one that is too long goes on in the next.
    #[must_use]
    pub fn lines_of(self, text: &str) -> usize {
        text.lines().map(|line| line.chars().count().div_ceil(self.columns.max(1)).max(1)).sum()
    }
}

/// The size of the terminal now; nothing where nobody is watching.
#[must_use]
pub fn size() -> Option<Size> {
    let asked = || {
        let terminal = File::open("/dev/tty").ok()?;
        let said = Command::new("stty").arg("size").stdin(terminal).stderr(Stdio::null()).output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let (lines, columns) = said.trim().split_once(' ')?;
        let size = Size { columns: columns.parse().ok()?, lines: lines.parse().ok()? };
        (size.columns > 0 && size.lines > 0).then_some(size)
    };
    is_watched().then(|| asked().unwrap_or(Size::USUAL))
}

/// Whether a person is watching.
#[must_use]
pub fn is_watched() -> bool {
    std::io::stdout().is_terminal()
}

/// Shows a page.
pub fn show(page: &str) {
    // Home, then each line with the rest of the old one wiped, then everything below wiped: no flicker.
    let text = if is_watched() {
        format!("\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\n"))
    } else {
        page.to_owned()
    };
    print(&text);
}

/// Starts an empty page.
pub fn clear() {
    if is_watched() {
        print("\x1b[2J\x1b[H");
    }
}

/// Prints text as it is. A reader that has gone is no reason to stop.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
