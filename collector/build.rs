//! The console's files are part of the binary once they are built.

fn main() {
    // What is not there is looked for at every build, and the crate compiled again; its folder changes when it comes.
    let built = std::path::Path::new("console/dist").is_dir();
    println!("cargo::rerun-if-changed={}", if built { "console/dist" } else { "console" });
}
