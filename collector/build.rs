//! The console's files are part of the binary once they are built.

fn main() {
    println!("cargo::rerun-if-changed=console/dist");
}
