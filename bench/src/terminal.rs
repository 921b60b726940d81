//! A page that is drawn over itself on a terminal, and printed whole elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often a page is drawn on a terminal.
pub const REFRESH: Duration = Duration::from_secs(2);
/// How often it is printed where nothing can be drawn over.
pub const REPRINT: Duration = Duration::from_secs(20);

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
