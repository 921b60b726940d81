//! Lists the price files, so that one more is a file in `prices/` and nothing else.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "cargo::rerun-if-changed=prices")?;
    let variable = |name| env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("prices");
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut list = b"&[\n".to_vec();
    for file in files {
        let (name, path) = (file.file_name(), file.path());
        writeln!(list, "    ({:?}, include_str!({:?})),", name.to_string_lossy(), path.to_string_lossy())?;
    }
    list.push(b']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("price_files.rs"), list)
}
