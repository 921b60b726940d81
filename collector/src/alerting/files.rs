//! Reads rule files from disk for `rules.rs`. A directory stands for the rule files in it, so that a pack is one path.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::alerting::limits::RULE_FILE_BYTES_MAX;
use crate::alerting::rules::{self, AcceptExpr, RuleProblem, RuleSet};

/// Loads every file; all problems of all files, or the rules.
pub fn load_rules(paths: &[PathBuf], accept: AcceptExpr<'_>) -> Result<RuleSet, Vec<RuleProblem>> {
    let mut set = RuleSet::default();
    let mut problems = Vec::new();
    for path in paths {
        match expand(path) {
            Ok(files) => {
                for file in files {
                    match read(&file).and_then(|text| rules::parse(&name(&file), &text, accept)) {
                        Ok(groups) => set.groups.extend(groups),
                        Err(found) => problems.extend(found),
                    }
                }
            }
            Err(found) => problems.push(found),
        }
    }
    if problems.is_empty() { Ok(set) } else { Err(problems) }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn problem(path: &Path, message: String) -> RuleProblem {
    RuleProblem { file: name(path), group: None, rule: None, message }
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, RuleProblem> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| problem(path, format!("cannot list the directory: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Tests for promtool lie next to the rules they test.
        if is_yaml && !stem.ends_with("_test") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = "the directory holds no rule files (*.yaml or *.yml); correct the path or remove it";
        return Err(problem(path, message.to_owned()));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<String, Vec<RuleProblem>> {
    let failed = |message: String| vec![problem(path, message)];
    let file = std::fs::File::open(path).map_err(|error| failed(format!("cannot read the file: {error}")))?;
    let mut text = String::new();
    file.take(RULE_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(format!("cannot read the file: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > RULE_FILE_BYTES_MAX {
        return Err(failed(format!("the file is larger than {RULE_FILE_BYTES_MAX} bytes; split it")));
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
        assert_eq!((names, set.rule_count()), (vec!["a", "b"], 3));

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
