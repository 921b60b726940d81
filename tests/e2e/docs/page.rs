//! The fenced blocks of a page, with their marks.

use std::path::Path;

/// One fenced block.
pub struct Block {
    /// Where it begins.
    pub line: usize,
    /// `sh`, `python`, `js`, `sql`, `promql`, `yaml`, `text`.
    pub language: String,
    /// What is done with it.
    pub mark: String,
    /// What is in it.
    pub text: String,
}

/// What is understood of languages and marks.
const KNOWN: &[(&str, &[&str])] = &[
    ("sh", &["run", "setup"]),
    ("python", &["run", "syntax"]),
    ("js", &["run"]),
    ("sql", &["run"]),
    ("promql", &["run"]),
    ("yaml", &["agent", "budgets", "collector", "rules"]),
    ("text", &["shown"]),
];

/// A page.
pub struct Page {
    /// In order.
    pub blocks: Vec<Block>,
    /// Blocks that nobody would run.
    pub problems: Vec<String>,
}

impl Page {
    /// Takes the page apart.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut page = Self { blocks: Vec::new(), problems: Vec::new() };
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (fence, &mut open) {
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (Some(info), None) => {
                    let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                    let is_known =
                        KNOWN.iter().any(|(known, marks)| *known == language && marks.contains(&mark));
                    if !is_known {
                        page.problems.push(format!(
                            "{}:{}: `{info}` does not say what a test does with this block; the languages and words are {KNOWN:?}",
                            path.display(),
                            index + 1
                        ));
                    }
                    let (language, mark) = (language.to_owned(), mark.to_owned());
                    open = Some(Block { line: index + 1, language, mark, text: String::new() });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block does not end", path.display());
        page
    }
}
