//! Reads rule files from disk for `rules.rs`. A directory stands for the rule files in it, so that a pack is one path.

use std::io::Read;
use std::path::{Path, PathBuf};

use ledgerline_process::config::Problem;

use crate::alerting::rules::{self, AcceptExpr, RuleSet};
use crate::limits::RULE_FILE_BYTES_MAX;

/// Loads every file; all problems of all files, or the rules.
pub fn load_rules(paths: &[PathBuf], accept: AcceptExpr<'_>) -> Result<RuleSet, Vec<Problem>> {
    let mut set = RuleSet::default();
    let mut problems = Vec::new();
    for path in paths {
        let problem = |path: &Path, message| vec![Problem { path: path.display().to_string(), message }];
        let files = expand(path).map_err(|message| problems.extend(problem(path, message)));
        for file in files.into_iter().flatten() {
            let text = read(&file).map_err(|message| problem(&file, message));
            match text.and_then(|text| rules::parse(&file.display().to_string(), &text, accept)) {
                Ok(groups) => set.groups.extend(groups),
                Err(found) => problems.extend(found),
            }
        }
    }
    if problems.is_empty() { Ok(set) } else { Err(problems) }
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

    #[test]
    fn a_directory_stands_for_its_rule_files_and_all_problems_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("b.yml", "groups: [{name: b, rules: [{alert: B, expr: up}]}]");
        write("a.yaml", "groups: [{name: a, rules: [{alert: A, expr: up}, {alert: C, expr: up}]}]");
        write("a_test.yaml", "rule_files: [a.yaml]");
        write("notes.txt", "not a rule file");
        let set = load_rules(&[directory.path().to_owned()], &|_| Ok(())).unwrap();
        let names: Vec<&str> = set.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!((names, set.groups[0].rules.len()), (vec!["a", "b"], 2));

        write("a.yaml", "groups: [{name: a, rules: [{alert: A, exprr: up}]}]");
        write("c.yaml", "groups: 1");
        let paths = [directory.path().to_owned(), directory.path().join("missing.yaml")];
        let problems = load_rules(&paths, &|_| Ok(())).unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 4, "{text:#?}");
        assert!(text[0].contains("unknown key \"exprr\"") && text[1].contains("has no expr"), "{text:#?}");
        assert!(text[2].contains("c.yaml: not a rule file"), "{text:#?}");
        assert!(text[3].contains("missing.yaml: cannot read the file"), "{text:#?}");
    }

    #[test]
    fn directories_without_rules_and_files_that_are_not_text_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let empty = load_rules(&[directory.path().to_owned()], &|_| Ok(())).unwrap_err();
        assert!(empty[0].message.contains("holds no rule files"));
        let file = directory.path().join("a.yaml");
        std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
        assert!(load_rules(&[file], &|_| Ok(())).unwrap_err()[0].message.contains("cannot read the file"));
    }
}
