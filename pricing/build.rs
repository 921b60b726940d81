//! Lists the price files, so that one more is a file in `prices/` or `prices/generated/` and nothing else. The list says where they are
//! from the package on, so that a checkout can be moved.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "cargo::rerun-if-changed=prices")?;
    let variable = |name| env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let mut list = b"[".to_vec();
    for folder in ["prices", "prices/generated"] {
        write_list(folder, &mut list)?;
    }
    list.push(b']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("price_files.rs"), list)
}

/// A build script runs in the folder of its package.
fn write_list(folder: &str, list: &mut Vec<u8>) -> io::Result<()> {
    let mut files = Vec::new();
    if Path::new(folder).exists() {
        files = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    }
    files.retain(|file: &fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "yaml"));
    files.sort_by_key(fs::DirEntry::file_name);
    list.extend(b"&[\n");
    for file in files {
        let name = file.file_name();
        let name = name.to_string_lossy();
        let path = format!("/{folder}/{name}");
        writeln!(list, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")?;
    }
    list.extend(b"],\n");
    Ok(())
}
