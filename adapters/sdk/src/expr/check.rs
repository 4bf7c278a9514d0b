//! What an expression may name and how deep its loops go: judged when a file is read, not when a
//! message comes.

use cel::common::ast::{CallExpr, EntryExpr, Expr as Ast, IdedExpr, LiteralValue, operators};

use super::{Joined, NESTING_MAX, Scope, functions};

/// Names of types: `type(x) == string`.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

struct Walk<'a> {
    scope: Scope<'a>,
    /// What loops around here name.
    local: Vec<&'a str>,
    nesting: usize,
}

/// Refuses unknown names, loops in loops, and patterns that are not known now.
pub(super) fn check(expression: &IdedExpr, scope: Scope<'_>) -> Result<(), String> {
    let mut walk = Walk {
        scope,
        local: Vec::new(),
        nesting: 0,
    };
    walk.visit(expression)
}

impl<'a> Walk<'a> {
    fn visit(&mut self, expression: &'a IdedExpr) -> Result<(), String> {
        match &expression.expr {
            Ast::Unspecified | Ast::Literal(_) => Ok(()),
            Ast::Ident(name) => self.ident(name),
            Ast::Select(select) => {
                self.visit(&select.operand)?;
                self.field(&select.operand, &select.field)
            }
            Ast::List(list) => list.elements.iter().try_for_each(|item| self.visit(item)),
            Ast::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key)?;
                    self.visit(&entry.value)
                }
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Ast::Struct(_) => Err("there are no messages to build; write a map".to_owned()),
            Ast::Call(call) => self.call(call),
            Ast::Comprehension(inner) => {
                // A loop over another's result costs their sum, a loop in a loop their product.
                self.visit(&inner.iter_range)?;
                if self.nesting == NESTING_MAX {
                    return Err("a loop must not stand inside another loop".to_owned());
                }
                self.nesting += 1;
                let n_local = self.local.len();
                self.local.push(&inner.iter_var);
                self.local.push(&inner.accu_var);
                self.local.extend(inner.iter_var2.as_deref());
                let parts = [
                    &inner.accu_init,
                    &inner.loop_cond,
                    &inner.loop_step,
                    &inner.result,
                ];
                let outcome = parts.into_iter().try_for_each(|part| self.visit(part));
                self.local.truncate(n_local);
                self.nesting -= 1;
                outcome
            }
        }
    }

    fn ident(&self, name: &str) -> Result<(), String> {
        let is_known = self.local.contains(&name)
            || self.scope.variables.contains(&name)
            || TYPES.contains(&name)
            || name.starts_with('@');
        if is_known {
            return Ok(());
        }
        let known = self.scope.variables.join("`, `");
        Err(format!("there is no `{name}` here; there are `{known}`"))
    }

    fn field(&self, of: &IdedExpr, field: &str) -> Result<(), String> {
        let Ast::Ident(root) = &of.expr else {
            return Ok(());
        };
        let mut known = self.scope.fields.iter();
        match known.find(|(name, _)| name == root && !self.local.contains(name)) {
            Some((_, fields)) if !fields.contains(&field) => {
                let known = fields.join("`, `");
                Err(format!("`{root}` has no `{field}`; it has `{known}`"))
            }
            _ => Ok(()),
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !functions::NAMES.contains(&name)
        {
            let known = functions::NAMES.join("`, `");
            return Err(format!(
                "there is no function `{name}`; there are `{known}`"
            ));
        }
        if name == "matches" {
            pattern(call)?;
        }
        if let Some(target) = &call.target {
            self.visit(target)?;
        }
        call.args.iter().try_for_each(|arg| self.visit(arg))
    }
}

/// A pattern that is known now is known to be good.
fn pattern(call: &CallExpr) -> Result<(), String> {
    match call.args.last().map(|arg| &arg.expr) {
        Some(Ast::Literal(LiteralValue::String(pattern))) => regex::Regex::new(pattern.inner())
            .map(|_| ())
            .map_err(|_| "`matches` has a pattern that is no regular expression".to_owned()),
        _ => Err("the pattern of `matches` must be a literal text".to_owned()),
    }
}

/// The name, if it is one alone.
pub(super) fn name(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Ast::Ident(name) if !TYPES.contains(&name.as_str()) => Some(name),
        _ => None,
    }
}

/// See [`super::Expr::joined`].
pub(super) fn joined(expression: &IdedExpr, root: &str) -> Option<Vec<Joined>> {
    match &expression.expr {
        Ast::Literal(LiteralValue::String(text)) => {
            Some(vec![Joined::Text(text.inner().to_owned())])
        }
        Ast::Select(select) if !select.test => match &select.operand.expr {
            Ast::Ident(name) if name == root => Some(vec![Joined::Field(select.field.clone())]),
            _ => None,
        },
        Ast::Call(call) if call.func_name == operators::ADD => {
            let mut pieces = Vec::new();
            for arg in &call.args {
                pieces.extend(joined(arg, root)?);
            }
            Some(pieces)
        }
        _ => None,
    }
}
