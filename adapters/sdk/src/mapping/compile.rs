//! Compiling with one list of mistakes.

use std::collections::BTreeMap;

use crate::{
    expr::{Expr, Scope, Source, Table, Variables},
    options::Problems,
};

/// Tables of one channel.
pub const TABLES_MAX: usize = 64;
/// Entries of one table.
pub const TABLE_ENTRIES_MAX: usize = 1000;

/// What is compiled with: where mistakes go, and which tables there are.
pub struct Compiler<'a> {
    /// Every mistake so far.
    pub problems: Problems,
    /// Names of tables.
    tables: Vec<&'a str>,
}

impl<'a> Compiler<'a> {
    /// Expressions may name these tables. A table may not be called as what expressions name anyway
    /// is (`taken`).
    pub fn new(tables: &'a BTreeMap<String, BTreeMap<String, String>>, taken: &[&[&str]]) -> Self {
        let mut problems = Problems::default();
        let n = tables.len();
        let sentence = format!("{TABLES_MAX} tables at most");
        problems.require(n <= TABLES_MAX, "tables", &sentence);
        for (name, table) in tables {
            let path = format!("tables.{name}");
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            problems.require(is_name, &path, "a table's name has letters, digits and `_`");
            let is_taken = taken.iter().any(|names| names.contains(&name.as_str()));
            let sentence = "expressions have another thing of this name";
            problems.require(!is_taken, &path, sentence);
            let is_good = (1..=TABLE_ENTRIES_MAX).contains(&table.len());
            let sentence = format!("a table has 1 to {TABLE_ENTRIES_MAX} entries");
            problems.require(is_good, &path, &sentence);
        }
        Self {
            problems,
            tables: tables.keys().map(String::as_str).collect(),
        }
    }

    /// The expression; a mistake if it is none.
    pub fn expr(&mut self, path: &str, source: &Source, scope: Scope<'_>) -> Option<Expr> {
        self.compiled(path, Expr::compile, source, scope)
    }

    /// The tree; a mistake if something in it is wrong.
    pub fn tree(&mut self, path: &str, source: &Source, scope: Scope<'_>) -> Option<Expr> {
        self.compiled(path, Expr::compile_tree, source, scope)
    }

    fn compiled(
        &mut self,
        path: &str,
        compile: impl Fn(&Source, Scope<'_>) -> Result<Expr, String>,
        source: &Source,
        scope: Scope<'_>,
    ) -> Option<Expr> {
        let variables: Vec<&str> = scope
            .variables
            .iter()
            .chain(&self.tables)
            .copied()
            .collect();
        let scope = Scope {
            variables: &variables,
            ..scope
        };
        compile(source, scope)
            .map_err(|sentence| self.problems.add(path, sentence))
            .ok()
    }

    /// The same for what need not be there.
    pub fn maybe(&mut self, path: &str, source: Option<&Source>, scope: Scope<'_>) -> Option<Expr> {
        source.and_then(|source| self.expr(path, source, scope))
    }

    /// A tree that need not be there.
    pub fn maybe_tree(
        &mut self,
        path: &str,
        source: Option<&Source>,
        scope: Scope<'_>,
    ) -> Option<Expr> {
        source.and_then(|source| self.tree(path, source, scope))
    }
}

/// A channel's tables, ready for expressions.
#[derive(Debug, Default)]
pub struct Tables(Vec<(String, Table)>);

impl Tables {
    /// Those of a channel's file.
    #[must_use]
    pub fn new(tables: &BTreeMap<String, BTreeMap<String, String>>) -> Self {
        let tables = tables.iter();
        Self(
            tables
                .map(|(name, table)| (name.clone(), Table::new(table.clone())))
                .collect(),
        )
    }

    /// Lets expressions name them.
    pub fn lend<'a>(&'a self, variables: &mut Variables<'a>) {
        for (name, table) in &self.0 {
            variables.set_table(name, table);
        }
    }
}
