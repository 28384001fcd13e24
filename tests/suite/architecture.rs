//! Checks the imports of the code against the arrows of `docs/architecture.md`.
//!
//! A file imports another if one of its paths leads there: `crate::store::Stored`, `super::change`, in
//! a `use` line or in code. Paths under `#[cfg(test)]` do not count. Two rules hold:
//! - between modules at the top of a crate, an import goes along [`ARROWS`], and each arrow has an import;
//! - the files and folders of one folder do not import each other in a circle. A folder and the files in
//!   it may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree};

/// The modules at the top of the crate, and those that each may import. All may import `protocol`, which is
/// a crate of its own and cannot import any of them.
const ARROWS: [(&str, &[&str]); 22] = [
    (
        "bin",
        &[
            "cli", "stack", "http", "worker", "admin", "delivery", "outgoing", "feed", "provider",
            "store", "tenant", "identity", "aws", "logs", "clock",
        ],
    ),
    (
        "cli",
        &[
            "stack", "http", "worker", "admin", "delivery", "feed", "provider", "store", "tenant",
            "identity", "guide", "outgoing", "embedded", "aws", "logs", "clock",
        ],
    ),
    (
        "admin",
        &[
            "delivery", "feed", "provider", "store", "tenant", "identity", "outgoing", "logs",
            "clock",
        ],
    ),
    (
        "worker",
        &[
            "delivery", "feed", "provider", "store", "tenant", "identity", "cache", "clock",
        ],
    ),
    (
        "delivery",
        &[
            "feed", "provider", "store", "tenant", "identity", "outgoing", "cache", "clock",
        ],
    ),
    ("feed", &["provider", "store", "identity", "clock"]),
    (
        "stack",
        &[
            "http", "admin", "delivery", "outgoing", "pages", "provider", "store", "tenant",
            "identity", "clock",
        ],
    ),
    (
        "http",
        &[
            "feed", "pages", "provider", "store", "tenant", "identity", "pool", "clock",
        ],
    ),
    (
        "provider",
        &["store", "tenant", "identity", "pool", "cache", "clock"],
    ),
    ("store", &["identity", "pool", "clock"]),
    ("tenant", &["identity", "cache", "clock"]),
    ("pool", &["identity"]),
    ("pages", &[]),
    ("embedded", &["aws"]),
    ("cache", &["clock"]),
    ("outgoing", &["tls"]),
    ("guide", &[]),
    ("identity", &[]),
    ("aws", &["tls"]),
    ("tls", &[]),
    ("logs", &[]),
    ("clock", &[]),
];

/// The small modules that several layers use. The picture of the layers leaves them out.
const BESIDE: [&str; 8] = [
    "stack", "embedded", "cache", "aws", "tls", "logs", "clock", "guide",
];

/// The sources of each crate, and the name in [`ARROWS`] of a crate that counts as one module.
const CRATES: [(&str, Option<&str>); 2] = [("src", None), ("protocol/src", Some("protocol"))];

/// A module's name from the top of its crate: `store::plan::planner`.
type Module = Vec<String>;

#[test]
fn imports_go_along_the_arrows() {
    let imports = all_imports();
    let mut broken: BTreeSet<String> = imports.iter().filter_map(against_the_arrows).collect();
    broken.extend(in_circles(&imports));
    assert!(
        broken.is_empty(),
        "imports against the arrows or in a circle: {broken:#?}"
    );
}

#[test]
fn every_arrow_has_an_import() {
    let imports = all_imports();
    let drawn = ARROWS
        .iter()
        .flat_map(|(from, tops)| tops.iter().map(move |to| (*from, *to)));
    let is_used = |(from, to): &(&str, &str)| {
        let mut imports = imports.iter();
        imports.any(|import| import.tops() == Some(((*from).into(), (*to).into())))
    };
    let unused: Vec<_> = drawn.filter(|arrow| !is_used(arrow)).collect();
    assert!(unused.is_empty(), "arrows without an import: {unused:?}");
}

#[test]
fn the_picture_shows_every_layer_and_every_arrow() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let picture = page.split("```").find(|block| block.starts_with("mermaid"));
    let lines = picture.unwrap().lines();
    let node = |end: &str| end.trim().split('[').next().unwrap().to_owned();
    let drawn: BTreeSet<(String, String)> = lines
        .filter_map(|line| line.split_once("-->"))
        .map(|(from, to)| (node(from), node(to)))
        .collect();
    for (from, to) in &drawn {
        let tops = ARROWS.iter().find(|(top, _)| top == from);
        let allows = |(_, tops): &(&str, &[&str])| tops.contains(&to.as_str());
        assert!(
            to == "protocol" || tops.is_some_and(allows),
            "{from} --> {to}"
        );
    }
    let shown = |top: &str| drawn.iter().any(|(from, to)| from == top || to == top);
    for (top, tops) in ARROWS {
        assert_ne!(shown(top), BESIDE.contains(&top), "{top}");
        let layers = tops.iter().filter(|to| shown(top) && shown(to));
        let missing: Vec<_> = layers.filter(|to| !leads(&drawn, top, to)).collect();
        assert!(missing.is_empty(), "{top} --> {missing:?}");
    }
}

#[test]
fn paths_are_resolved_from_their_module() {
    let modules: BTreeSet<Module> = ["", "a", "a::b", "a::c", "d"]
        .iter()
        .map(|name| module(name))
        .collect();
    let check = |source: &str, expected: &[&str]| {
        let found = imports_of(&module("a::b"), &syn::parse_file(source).unwrap(), &modules);
        let expected: BTreeSet<Module> = expected.iter().map(|name| module(name)).collect();
        assert_eq!(found, expected, "{source}");
    };
    check("use crate::d::Thing;", &["d"]);
    check("use super::{c, Other};", &["a::c", "a"]);
    check("use super::super::d;", &["d"]);
    check("fn f() { crate::a::c::g(); }", &["a::c"]);
    check("type T = crate::d::Thing;", &["d"]);
    check("#[cfg(test)] mod tests { use crate::d::Thing; }", &[]);
    check("#[cfg(test)] use crate::d::Thing;", &[]);
    check("mod inner { use super::super::c; }", &["a::c"]);
    check("use std::fmt; fn f() { fmt::format(); }", &[]);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn module(name: &str) -> Module {
    name.split("::")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// One import, from a module of a crate to another module.
struct Import {
    top: Option<&'static str>,
    from: Module,
    to: Module,
}

impl Import {
    /// The modules at the top that the import leads from and to.
    fn tops(&self) -> Option<(String, String)> {
        let top = |module: &Module| {
            let first = module.first().map(String::as_str);
            self.top.or(first).map(str::to_owned)
        };
        Some((top(&self.from)?, top(&self.to)?))
    }
}

fn all_imports() -> Vec<Import> {
    let mut imports = Vec::new();
    for (sources, top) in CRATES {
        let files = files_of(&root().join(sources));
        let modules: BTreeSet<Module> = files.keys().cloned().collect();
        for (from, path) in &files {
            let source = fs::read_to_string(path).unwrap();
            let file = syn::parse_file(&source).unwrap();
            let found = imports_of(from, &file, &modules);
            imports.extend(found.into_iter().map(|to| Import {
                top,
                from: from.clone(),
                to,
            }));
        }
    }
    imports
}

/// The files below a folder, by module. Files of tests do not count.
fn files_of(sources: &Path) -> BTreeMap<Module, PathBuf> {
    let mut files = BTreeMap::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if name == "tests" || name.starts_with("test_") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(sources).unwrap().with_extension("");
                let mut module: Module = below
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                if matches!(name.as_str(), "mod" | "lib" | "main") {
                    module.pop();
                }
                files.insert(module, path);
            }
        }
    }
    files
}

/// The modules that the paths of a file lead to, without the module of the file itself.
fn imports_of(from: &Module, file: &syn::File, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let mut reader = Reader {
        place: from.clone(),
        modules,
        found: BTreeSet::new(),
    };
    reader.visit_file(file);
    reader.found.remove(from);
    reader.found
}

/// Reads the paths of one file. `place` is the module that a path is in.
struct Reader<'m> {
    place: Module,
    modules: &'m BTreeSet<Module>,
    found: BTreeSet<Module>,
}

impl Reader<'_> {
    /// Records the module that a path leads to, if the path begins in the crate.
    fn note(&mut self, path: &[String]) {
        let mut target = match path.first().map(String::as_str) {
            Some("crate" | "scim_lambda") => Module::new(),
            Some("self" | "super") => self.place.clone(),
            Some(name) if self.is_child(name) => self.place.clone(),
            _ => return,
        };
        for name in path {
            match name.as_str() {
                "crate" | "scim_lambda" | "self" => {}
                "super" => {
                    target.pop();
                }
                name => target.push(name.to_owned()),
            }
        }
        while !self.modules.contains(&target) && target.pop().is_some() {}
        self.found.insert(target);
    }

    fn is_child(&self, name: &str) -> bool {
        let mut child = self.place.clone();
        child.push(name.to_owned());
        self.modules.contains(&child)
    }

    fn note_tree(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_tree(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_tree(tree, before);
                }
            }
            UseTree::Name(name) => self.note_leaf(&name.ident, before),
            UseTree::Rename(rename) => self.note_leaf(&rename.ident, before),
            UseTree::Glob(_) => self.note(before),
        }
    }

    fn note_leaf(&mut self, name: &syn::Ident, before: &mut Vec<String>) {
        before.push(name.to_string());
        self.note(before);
        before.pop();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.place.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.place.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }
}

fn attributes(item: &syn::Item) -> &[Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// An import between modules at the top that no arrow allows.
fn against_the_arrows(import: &Import) -> Option<String> {
    let (from, to) = import.tops()?;
    if from == to {
        return None;
    }
    let arrows = ARROWS.iter().find(|(name, _)| *name == from);
    let is_allowed = arrows.is_some_and(|(_, tops)| tops.contains(&to.as_str()));
    (!is_allowed).then(|| format!("{} -> {}", import.from.join("::"), import.to.join("::")))
}

/// The imports between files or folders of one folder that are part of a circle.
fn in_circles(imports: &[Import]) -> Vec<String> {
    let mut folders = BTreeMap::<(Option<&str>, Module), BTreeSet<(String, String)>>::new();
    for import in imports {
        let shared = import
            .from
            .iter()
            .zip(&import.to)
            .take_while(|(from, to)| from == to)
            .count();
        // A folder and what is in it may import each other.
        let (Some(from), Some(to)) = (import.from.get(shared), import.to.get(shared)) else {
            continue;
        };
        let folder = (import.top, import.from[..shared].to_vec());
        let edge = (from.clone(), to.clone());
        folders.entry(folder).or_default().insert(edge);
    }
    let mut circles = Vec::new();
    for ((top, folder), edges) in folders {
        let top = top.into_iter().map(str::to_owned);
        let place: Vec<_> = top.chain(folder).collect();
        let within = edges.iter().filter(|(from, to)| leads(&edges, to, from));
        circles.extend(within.map(|(from, to)| {
            let name = |last: &String| {
                let names: Vec<_> = place.iter().chain([last]).map(String::as_str).collect();
                names.join("::")
            };
            format!("{} -> {}", name(from), name(to))
        }));
    }
    circles
}

/// Whether a chain of imports leads from one name to another.
fn leads(edges: &BTreeSet<(String, String)>, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        let next = edges.iter().filter(|(start, _)| start == name);
        open.extend(
            next.map(|(_, end)| end.as_str())
                .filter(|end| seen.insert(end)),
        );
    }
    false
}
