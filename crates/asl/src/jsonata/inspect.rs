//! What an expression names, found when its definition is loaded.
//!
//! AWS refuses a definition whose expression reads a context item that cannot exist (a bare name, `$` or `$$` at the top
//! level), a member of `$states` that its field does not have, or `$eval`. Only the first step of a path is read at the top
//! level: names in later steps, predicates, sort terms and groupings are the items'. A function body is where it is written.

use jsonata_core::ast::{AstNode, BinaryOp, PathStep, Stage};
use thiserror::Error;

use super::functions::{self, HostFunction};
use super::scope::Wanted;

/// Which members of `$states` a field has besides `input` and `context`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) result: bool,
    pub(crate) error_output: bool,
}

/// A fault of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    #[error("not a JSONata expression: {0}")]
    Syntax(String),
    #[error("reference to '{0}' at the top level is not supported; read the state's input as $states.input")]
    TopLevelReference(String),
    #[error("reference to '{0}' is not supported")]
    UnsupportedReference(&'static str),
    #[error("function $eval is not supported; use $parse to read JSON")]
    Eval,
    #[error("operator '{0}' is newer than JSONata 2.0.6, which AWS runs")]
    NewerOperator(&'static str),
    #[error("$states.{0} is not available in this field")]
    Unavailable(String),
    #[error("$states has no member '{0}'")]
    UnknownMember(String),
    #[error("$states is reserved and cannot be bound")]
    ReservedName,
}

pub(super) struct Inspection {
    /// Whether a path reads nothing beside it: no `%` anywhere, which reads its parents.
    pub(super) prunable: bool,
    pub(super) states: Wanted,
    pub(super) variables: Vec<(Box<str>, Wanted)>,
    pub(super) functions: Vec<HostFunction>,
}

struct Inspector {
    available: Available,
    faults: Vec<Fault>,
    locals: Vec<String>,
    found: Inspection,
}

pub(super) fn inspect(ast: &AstNode, available: Available) -> Result<Inspection, Vec<Fault>> {
    let found = Inspection {
        prunable: true,
        states: Wanted::default(),
        variables: Vec::new(),
        functions: Vec::new(),
    };
    let mut inspector = Inspector { available, faults: Vec::new(), locals: Vec::new(), found };
    inspector.node(ast, false);
    if !inspector.faults.is_empty() {
        return Err(inspector.faults);
    }
    let mut found = inspector.found;
    if !found.prunable {
        if !found.states.is_empty() {
            found.states.add([]);
        }
        for (_, wanted) in &mut found.variables {
            wanted.add([]);
        }
    }
    Ok(found)
}

/// A step that does nothing but step.
pub(super) fn is_plain(step: &PathStep) -> bool {
    step.stages.is_empty() && binds_nothing(step)
}

fn binds_nothing(step: &PathStep) -> bool {
    step.focus.is_none()
        && step.index_var.is_none()
        && step.ancestor_label.is_none()
        && !step.is_tuple
        && !step.inner_tuple
}

impl Inspector {
    fn nodes<'n>(&mut self, nodes: impl IntoIterator<Item = &'n AstNode>, item: bool) {
        for node in nodes {
            self.node(node, item);
        }
    }

    /// `item`: whether there is a context item.
    fn node(&mut self, node: &AstNode, item: bool) {
        match node {
            AstNode::String(_)
            | AstNode::Number(_)
            | AstNode::Boolean(_)
            | AstNode::Null
            | AstNode::Undefined
            | AstNode::Placeholder
            | AstNode::Regex { .. } => {}
            AstNode::Name(name) => {
                if !item {
                    self.faults.push(Fault::TopLevelReference(name.clone()));
                }
            }
            AstNode::Variable(name) => self.variable(name, &[], item),
            AstNode::ParentVariable(_) => self.faults.push(Fault::UnsupportedReference("$$")),
            AstNode::Path { steps } => self.path(steps, item),
            AstNode::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs, item),
            AstNode::Unary { operand, .. } => self.node(operand, item),
            AstNode::Function { name, args, .. } => {
                self.function(name);
                self.nodes(args, item);
            }
            AstNode::Call { procedure, args } => {
                self.node(procedure, item);
                self.nodes(args, item);
            }
            AstNode::Lambda { params, body, .. } => {
                let outside = self.locals.len();
                for param in params {
                    self.local(param);
                }
                self.node(body, item);
                self.locals.truncate(outside);
            }
            AstNode::Array(items) | AstNode::ArrayGroup(items) => self.nodes(items, item),
            AstNode::Object(pairs) => {
                for (name, value) in pairs {
                    self.node(name, item);
                    self.node(value, item);
                }
            }
            AstNode::ObjectTransform { input, pattern } => {
                let outside = self.locals.len();
                self.node(input, item);
                for (name, value) in pattern {
                    self.node(name, true);
                    self.node(value, true);
                }
                self.locals.truncate(outside);
            }
            AstNode::Block(expressions) => {
                let outside = self.locals.len();
                self.nodes(expressions, item);
                self.locals.truncate(outside);
            }
            AstNode::Conditional { condition, then_branch, else_branch } => {
                self.node(condition, item);
                self.node(then_branch, item);
                self.nodes(else_branch.as_deref(), item);
            }
            AstNode::Wildcard => self.needs_item(item, "*"),
            AstNode::Descendant => self.needs_item(item, "**"),
            AstNode::Parent(_) => {
                self.found.prunable = false;
                self.needs_item(item, "%");
            }
            AstNode::FunctionApplication(body) => self.node(body, true),
            AstNode::Sort { input, terms } => {
                let outside = self.locals.len();
                self.node(input, item);
                for (term, _) in terms {
                    self.node(term, true);
                }
                self.locals.truncate(outside);
            }
            AstNode::Transform { location, update, delete } => {
                self.node(location, true);
                self.node(update, true);
                self.nodes(delete.as_deref(), true);
            }
        }
    }

    fn needs_item(&mut self, item: bool, what: &'static str) {
        if !item {
            self.faults.push(Fault::TopLevelReference(what.to_owned()));
        }
    }

    fn local(&mut self, name: &str) {
        if name == "states" {
            self.faults.push(Fault::ReservedName);
        }
        self.locals.push(name.to_owned());
    }

    fn binary(&mut self, op: BinaryOp, lhs: &AstNode, rhs: &AstNode, item: bool) {
        match op {
            BinaryOp::ColonEqual => {
                let AstNode::Variable(name) = lhs else {
                    self.node(lhs, item);
                    return self.node(rhs, item);
                };
                // A function can call itself by its name; anything else sees what the name was before.
                if matches!(rhs, AstNode::Lambda { .. }) {
                    self.local(name);
                    self.node(rhs, item);
                } else {
                    self.node(rhs, item);
                    self.local(name);
                }
            }
            BinaryOp::FocusBind | BinaryOp::IndexBind => {
                self.node(lhs, item);
                if let AstNode::Variable(name) = rhs {
                    self.local(name);
                }
            }
            BinaryOp::Coalesce | BinaryOp::Default => {
                self.faults.push(Fault::NewerOperator(if op == BinaryOp::Coalesce { "??" } else { "?:" }));
                self.node(lhs, item);
                self.node(rhs, item);
            }
            BinaryOp::Add
            | BinaryOp::Subtract
            | BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::Modulo
            | BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::LessThan
            | BinaryOp::LessThanOrEqual
            | BinaryOp::GreaterThan
            | BinaryOp::GreaterThanOrEqual
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Concatenate
            | BinaryOp::Range
            | BinaryOp::In
            | BinaryOp::ChainPipe => {
                self.node(lhs, item);
                self.node(rhs, item);
            }
        }
    }

    fn path(&mut self, steps: &[PathStep], item: bool) {
        for (index, step) in steps.iter().enumerate() {
            match &step.node {
                AstNode::Variable(name) if index == 0 => {
                    let names = if is_plain(step) { plain_names(&steps[1..]) } else { Vec::new() };
                    self.variable(name, &names, item);
                }
                node => self.node(node, item || index > 0),
            }
            for name in [&step.focus, &step.index_var].into_iter().flatten() {
                self.local(name);
            }
            for stage in &step.stages {
                match stage {
                    Stage::Filter(predicate) => self.node(predicate, true),
                    Stage::Index(name) => self.local(name),
                    Stage::KeepArray => {}
                }
            }
        }
    }

    fn variable(&mut self, name: &str, path: &[&str], item: bool) {
        if name.is_empty() {
            return self.needs_item(item, "$");
        }
        if self.locals.iter().any(|local| local == name) {
            return;
        }
        if name == "states" {
            match path.first() {
                Some(&"input" | &"context") | None => {}
                Some(&"result") if self.available.result => {}
                Some(&"errorOutput") if self.available.error_output => {}
                Some(&member @ ("result" | "errorOutput")) => {
                    self.faults.push(Fault::Unavailable(member.to_owned()));
                }
                Some(member) => self.faults.push(Fault::UnknownMember((*member).to_owned())),
            }
            return self.found.states.add(path.iter().copied());
        }
        // A variable may be called as a function is, and then hides it.
        if functions::is_known(name) {
            self.function(name);
        }
        self.wants(name, path);
    }

    fn wants(&mut self, name: &str, path: &[&str]) {
        let variables = &mut self.found.variables;
        let index = match variables.iter().position(|(known, _)| **known == *name) {
            Some(index) => index,
            None => {
                variables.push((name.into(), Wanted::default()));
                variables.len() - 1
            }
        };
        variables[index].1.add(path.iter().copied());
    }

    fn function(&mut self, name: &str) {
        if self.locals.iter().any(|local| local == name) {
            return;
        }
        if name == "eval" {
            self.faults.push(Fault::Eval);
        }
        match HostFunction::named(name) {
            Some(function) if !self.found.functions.contains(&function) => {
                self.found.functions.push(function);
            }
            Some(_) => {}
            None if functions::is_known(name) => {}
            None => self.wants(name, &[]),
        }
    }
}

/// The names that lead on from a variable, up to and including the first that does more than step.
fn plain_names(steps: &[PathStep]) -> Vec<&str> {
    let mut names = Vec::new();
    for step in steps {
        let AstNode::Name(name) = &step.node else { break };
        if !binds_nothing(step) {
            break;
        }
        names.push(name.as_str());
        if !step.stages.is_empty() {
            break;
        }
    }
    names
}
