//! Reads rule files from disk for `rules.rs`. A directory stands for the rule files in it, so that a pack is one path.

use std::io::Read;
use std::path::{Path, PathBuf};

use ledgerline_process::config::Problems;

use crate::alerting::rules::{self, Defaults, Group};
use crate::limits::RULE_FILE_BYTES_MAX;

/// Loads every file, in order.
pub fn load_rules(paths: &[PathBuf], defaults: Defaults<'_>, problems: &mut Problems) -> Vec<Group> {
    let mut groups = Vec::new();
    for_each_file(paths, problems, |name, text, problems| {
        groups.extend(rules::parse(name, text, defaults, problems));
    });
    groups
}

/// Reads the files that these paths stand for, in order; `each` takes name and text.
pub fn for_each_file(
    paths: &[PathBuf],
    problems: &mut Problems,
    mut each: impl FnMut(&str, &str, &mut Problems),
) {
    for path in paths {
        let files = problems.take(&path.display().to_string(), expand(path));
        for file in files.into_iter().flatten() {
            let name = file.display().to_string();
            if let Some(text) = problems.take(&name, read(&file)) {
                each(&name, &text, problems);
            }
        }
    }
}

/// The rule files that a path stands for.
fn expand(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| format!("cannot list the directory: {error}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        // Tests for promtool lie next to the rules they test.
        if stem.is_some_and(|stem| !stem.ends_with("_test")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(
            "the directory holds no rule files (*.yaml or *.yml); correct the path or remove it".to_owned()
        );
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the file: {error}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let bytes = file.take(RULE_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if bytes as u64 > RULE_FILE_BYTES_MAX {
        return Err(format!("the file is larger than {RULE_FILE_BYTES_MAX} bytes; split it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::rules::tests::DEFAULTS;

    fn load(paths: &[PathBuf]) -> Result<Vec<Group>, Vec<String>> {
        let mut problems = Problems::default();
        let groups = load_rules(paths, DEFAULTS, &mut problems);
        problems.into_result(Some(groups)).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_directory_stands_for_its_rule_files_and_all_problems_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        assert!(load(std::slice::from_ref(&path)).unwrap_err()[0].contains("holds no rule files"));
        let write = |name: &str, text: &[u8]| std::fs::write(path.join(name), text).unwrap();
        write("b.yml", b"groups: [{name: b, rules: [{alert: B, expr: up}]}]");
        write("a.yaml", b"groups: [{name: a, rules: [{alert: A, expr: up}, {alert: C, expr: up}]}]");
        write("a_test.yaml", b"rule_files: [a.yaml]");
        write("notes.txt", b"not a rule file");
        let groups = load(std::slice::from_ref(&path)).unwrap();
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!((names, groups[0].rules.len()), (vec!["a", "b"], 2));

        write("a.yaml", b"groups: [{name: a, rules: [{alert: A, exprr: up}]}]");
        write("c.yaml", b"groups: 1");
        write("d.yaml", b"\xff\xfe\x00");
        let found = load(&[path.clone(), path.join("missing.yaml")]).unwrap_err();
        let parts =
            ["unknown key \"exprr\"", "has no expr", "c.yaml: not a rule file", "cannot read", "cannot read"];
        assert_eq!(found.len(), parts.len(), "{found:#?}");
        assert!(found.iter().zip(parts).all(|(text, part)| text.contains(part)), "{found:#?}");
    }
}
