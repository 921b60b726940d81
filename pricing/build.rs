//! Lists the price files, so that one more is a file in `prices/` or `prices/generated/` and nothing else.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "cargo::rerun-if-changed=prices")?;
    let variable = |name| env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("prices");
    let mut list = b"[".to_vec();
    for folder in [folder.clone(), folder.join("generated")] {
        write_list(&folder, &mut list)?;
    }
    list.push(b']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("price_files.rs"), list)
}

fn write_list(folder: &Path, list: &mut Vec<u8>) -> io::Result<()> {
    let mut files = Vec::new();
    if folder.exists() {
        files = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    }
    files.retain(|file: &fs::DirEntry| file.path().extension().is_some_and(|extension| extension == "yaml"));
    files.sort_by_key(fs::DirEntry::file_name);
    list.extend(b"&[\n");
    for file in files {
        let (name, path) = (file.file_name(), file.path());
        writeln!(list, "    ({:?}, include_str!({:?})),", name.to_string_lossy(), path.to_string_lossy())?;
    }
    list.extend(b"],\n");
    Ok(())
}
