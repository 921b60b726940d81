//! Who imports what: the paths that a source file names, and the graph they make within a crate. Read from the text, with
//! strings and comments taken out; macros that build paths are not understood.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Source, sources};

/// A module by its path within the crate; the root is empty.
pub type Module = Vec<String>;

/// The modules of a crate and what each imports of the others.
pub struct Graph {
    /// For each module the modules that it names, those it stands in apart: a child is a part of its parent and may use
    /// what that holds.
    pub edges: BTreeMap<Module, BTreeSet<Module>>,
}

/// The path of a module as a person writes it.
pub fn name(module: &Module) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("::") }
}

impl Graph {
    /// The graph of the crate in that folder, test modules apart.
    pub fn of_crate(folder: &str) -> Self {
        let prefix = format!("{folder}/src/");
        let modules: BTreeMap<Module, Source> = sources("rs")
            .into_iter()
            .filter(|source| source.path.starts_with(&prefix) && !source.is_test())
            .filter_map(|source| Some((module_of(source.path.strip_prefix(&prefix)?), source)))
            .collect();
        let edges = modules
            .iter()
            .map(|(module, source)| {
                let resolve = |path: &Vec<String>| resolve(module, path, &modules);
                let named = paths(source)
                    .iter()
                    .filter_map(resolve)
                    .filter(|other| !module.starts_with(other))
                    .collect();
                (module.clone(), named)
            })
            .collect();
        Self { edges }
    }

    /// Groups of modules each of which can be reached from each other one, by Tarjan's algorithm.
    pub fn circles(&self) -> Vec<BTreeSet<Module>> {
        let mut search = Search { graph: self, seen: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
        for module in self.edges.keys() {
            if !search.seen.contains_key(module) {
                search.visit(module);
            }
        }
        search.found
    }
}

struct Search<'a> {
    graph: &'a Graph,
    /// When a module was met, and the earliest module on the stack that it leads to.
    seen: BTreeMap<&'a Module, (usize, usize)>,
    stack: Vec<&'a Module>,
    found: Vec<BTreeSet<Module>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, module: &'a Module) -> usize {
        let number = self.seen.len();
        self.seen.insert(module, (number, number));
        self.stack.push(module);
        let mut lowest = number;
        for other in &self.graph.edges[module] {
            let Some((other, _)) = self.graph.edges.get_key_value(other) else { continue };
            match self.seen.get(other).copied() {
                None => lowest = lowest.min(self.visit(other)),
                Some((first, _)) if self.stack.contains(&other) => lowest = lowest.min(first),
                Some(_) => {}
            }
        }
        self.seen.insert(module, (number, lowest));
        if lowest == number {
            let from = self.stack.iter().position(|on| *on == module).unwrap();
            let circle: BTreeSet<Module> = self.stack.drain(from..).cloned().collect();
            if circle.len() > 1 {
                self.found.push(circle);
            }
        }
        lowest
    }
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The module that a path leads to, if it is one of this crate: the longest beginning that is a module.
fn resolve(from: &Module, path: &[String], modules: &BTreeMap<Module, Source>) -> Option<Module> {
    let (mut target, mut rest): (Module, &[String]) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "super" => (from[..from.len().checked_sub(1)?].to_vec(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        child => {
            let mut module = from.clone();
            module.push(child.to_owned());
            modules.contains_key(&module).then_some((module, &path[1..]))?
        }
    };
    while let Some((first, others)) = rest.split_first()
        && first == "super"
    {
        target.pop();
        rest = others;
    }
    target.extend(rest.iter().cloned());
    while !modules.contains_key(&target) {
        target.pop()?;
    }
    Some(target)
}

/// Every path that a file names, in `use` or in place, as segments.
pub fn paths(source: &Source) -> Vec<Vec<String>> {
    let text = code(source);
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in text.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|at| is_statement(&statement[..*at]));
        match start {
            Some(at) => {
                expand(&[], statement[at + 4..].trim_end_matches(';'), &mut found);
                rest.push_str(&statement[..at]);
            }
            None => rest.push_str(statement),
        }
    }
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for word in rest.split(|letter| !is_path(letter)).filter(|word| word.contains("::")) {
        let segments: Vec<String> =
            word.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        found.push(segments);
    }
    found
}

/// Whether a `use` behind this text begins a statement.
fn is_statement(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    line.is_empty() || line.starts_with("pub") && !line.contains(|letter: char| "={;".contains(letter))
}

fn expand(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let segments = |text: &str| -> Vec<String> {
        text.split(" as ")
            .next()
            .unwrap_or_default()
            .split("::")
            .map(str::trim)
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let Some((head, body)) = tree.split_once('{') else {
        found.push([prefix, &segments(tree)].concat());
        return;
    };
    let prefix = [prefix, &segments(head)].concat();
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    let (mut depth, mut start) = (0_i32, 0);
    for (at, letter) in body.char_indices().chain([(body.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !body[start..at].trim().is_empty() {
                    expand(&prefix, &body[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The product's part of a file without comments and without what stands in string literals.
fn code(source: &Source) -> String {
    let mut out = String::new();
    for (_, line) in source.code_lines() {
        let mut in_string = false;
        let mut previous = ' ';
        for (at, letter) in line.char_indices() {
            if !in_string && line[at..].starts_with("//") {
                break;
            }
            let is_quote =
                letter == '"' && previous != '\\' && !(previous == '\'' && line[at..].starts_with("\"'"));
            if is_quote {
                in_string = !in_string;
            } else if !in_string {
                out.push(letter);
            }
            previous = if previous == '\\' { ' ' } else { letter };
        }
        out.push('\n');
    }
    out
}

#[test]
fn a_use_tree_names_each_of_its_leaves() {
    let text = "//! x\nuse std::{fs, io::{self, Write as _}};\npub use crate::a::B;\nfn f() { super::c::d(\"no::path\") } // no::path\n";
    let source = Source { path: "x.rs".into(), text: text.into() };
    let named: Vec<String> = paths(&source).iter().map(|path| path.join("::")).collect();
    assert_eq!(named, ["std::fs", "std::io::self", "std::io::Write", "crate::a::B", "super::c::d"]);
}
