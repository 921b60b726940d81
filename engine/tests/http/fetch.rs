//! The set-up step, without the network: `npm` is a script of the test's own.

use std::path::Path;
use std::process::{Command, Output};

use ledgerline_engine::library;

fn fetch(cache: &Path, path: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch.sh");
    Command::new(script).env("LEDGERLINE_CACHE", cache).env("PATH", path).output().unwrap()
}

/// A directory with an `npm` that makes a package of the wrong content.
fn wrong_npm(directory: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let npm = directory.join("npm");
    let script =
        "#!/bin/sh\nmkdir package && echo wrong > package/libchdb.so && tar -czf wrong.tgz package\n";
    std::fs::write(&npm, script).unwrap();
    std::fs::set_permissions(&npm, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

#[test]
fn the_script_and_the_engine_agree_on_the_path() {
    let cache = tempfile::tempdir().unwrap();
    let expected =
        cache.path().join("chdb").join(library::VERSION).join(library::platform()).join("libchdb.so");
    std::fs::create_dir_all(expected.parent().unwrap()).unwrap();
    std::fs::write(&expected, "here").unwrap();
    let output = fetch(cache.path(), &std::env::var("PATH").unwrap());
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(printed.lines().last(), expected.to_str());
    let located =
        library::locate(None, |name| (name == "LEDGERLINE_CACHE").then(|| cache.path().into())).unwrap();
    assert_eq!(located, expected);
}

#[test]
fn a_package_with_another_digest_is_refused_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    let output = fetch(cache.path(), &wrong_npm(tools.path()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("not the one that was pinned"), "{said}");
    let home = cache.path().join("chdb").join(library::VERSION);
    assert_eq!(std::fs::read_dir(home).unwrap().count(), 0);
}

#[test]
fn a_missing_npm_is_named_with_the_way_to_get_it() {
    let cache = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    for tool in ["uname", "sh", "df", "awk", "mkdir"] {
        let found = ["/bin", "/usr/bin"]
            .iter()
            .map(|bin| Path::new(bin).join(tool))
            .find(|path| path.exists())
            .unwrap();
        std::os::unix::fs::symlink(found, tools.path().join(tool)).unwrap();
    }
    let output = fetch(cache.path(), tools.path().to_str().unwrap());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("apt-get install npm"), "{said}");
}
