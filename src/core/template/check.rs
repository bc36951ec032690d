//! What a template may hold, found by its syntax alone.
//!
//! The engine's fuel bounds instructions and most of the memory, but not what grows when a value is written out, compared
//! or dropped: a list that holds a list twice, thirty levels deep, is small and prints as gigabytes, and a million levels
//! overflow the stack. So a template can't give names to values, can't call anything, can't multiply, and loops over parts
//! of the token alone: then no value is larger than the tag that makes it and what it takes from the token.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, ForLoop, Stmt};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::filters::{FILTERS, NOT_PLAIN, TESTS};
use super::{Fault, tidy};

/// The variables that there are.
pub(super) const VARIABLES: [&str; 11] = [
    "access_token",
    "account_id",
    "claims",
    "expiration",
    "expires_at",
    "expires_in",
    "iam_id",
    "iamtoken",
    "refreshed_at",
    "subject_type",
    "token_type",
];

/// Those that tokens have or have not.
const OF_THE_TOKEN: [&str; 4] = ["account_id", "claims", "iam_id", "subject_type"];

/// Those that are maps.
const MAPS: [&str; 2] = ["claims", "iamtoken"];

/// The most words between two braces, and the most blocks of a template: each may be a level of the parser's recursion.
const MOST_WORDS: usize = 200;
const MOST_BLOCKS: usize = 200;

/// What is known of a template that holds nothing wrong.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// It asks for something that not all tokens have.
    pub(super) asks_the_token: bool,
}

/// Jinja's own, and the line break at the end stays.
pub(super) fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.keep_trailing_newline(true);
    builder.build().unwrap_or_default()
}

/// Whether the template is one at all, and holds nothing that it may not.
pub(super) fn check(source: &str) -> Result<Found, Fault> {
    is_flat(source)?;
    let tree = parse(source, "template", syntax()).map_err(|error| {
        let detail = error.detail().unwrap_or("it is no template");
        Fault { line: error.line(), what: tidy(&format!("{}: {detail}", error.kind())) }
    })?;
    let mut walk = Walk::default();
    if let Stmt::Template(template) = &tree {
        walk.statements(&template.children)?;
    }
    Ok(walk.found)
}

/// Looks at the words only, as the parser calls itself for each of them.
fn is_flat(source: &str) -> Result<(), Fault> {
    let (mut words, mut blocks) = (0, 0);
    // Where there is no word, the parser says why.
    for (token, span) in tokenize(source, false, syntax()).map_while(Result::ok) {
        match token {
            Token::VariableStart => words = 0,
            Token::BlockStart => (words, blocks) = (0, blocks + 1),
            Token::TemplateData(_) => {}
            _ => words += 1,
        }
        if words > MOST_WORDS {
            return fault(span, format!("there are over {MOST_WORDS} words between two braces"));
        }
        if blocks > MOST_BLOCKS {
            return fault(span, format!("there are over {MOST_BLOCKS} blocks"));
        }
    }
    Ok(())
}

fn fault<T>(span: Span, what: impl AsRef<str>) -> Result<T, Fault> {
    Err(Fault { line: Some(span.start_line.into()), what: tidy(what.as_ref()) })
}

/// A walk over the tree.
#[derive(Default)]
struct Walk<'a> {
    /// The names that loops give.
    loops: Vec<&'a str>,
    found: Found,
}

impl<'a> Walk<'a> {
    fn statements(&mut self, statements: &'a [Stmt<'a>]) -> Result<(), Fault> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &'a Stmt<'a>) -> Result<(), Fault> {
        let (span, name) = match statement {
            Stmt::EmitRaw(_) => return Ok(()),
            Stmt::EmitExpr(emitted) => {
                if matches!(&emitted.expr, Expr::Var(variable) if MAPS.contains(&variable.id)) {
                    return fault(emitted.span(), NOT_PLAIN);
                }
                return self.expression(&emitted.expr);
            }
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr)?;
                self.statements(&condition.true_body)?;
                return self.statements(&condition.false_body);
            }
            Stmt::ForLoop(repeated) => return self.repeated(repeated, repeated.span()),
            Stmt::Template(other) => (other.span(), "a template"),
            Stmt::WithBlock(other) => (other.span(), "with"),
            Stmt::Set(other) => (other.span(), "set"),
            Stmt::SetBlock(other) => (other.span(), "set"),
            Stmt::AutoEscape(other) => (other.span(), "autoescape"),
            Stmt::FilterBlock(other) => (other.span(), "filter"),
            Stmt::Do(other) => (other.span(), "do"),
        };
        fault(span, format!("there is no statement {name}; there are if and for"))
    }

    fn repeated(&mut self, repeated: &'a ForLoop<'a>, span: Span) -> Result<(), Fault> {
        let Expr::Var(name) = &repeated.target else {
            return fault(span, "a loop has one variable; of a map it takes the keys");
        };
        if repeated.recursive {
            return fault(span, "a loop can't be recursive");
        }
        if !is_path(&repeated.iter) {
            return fault(span, "a loop goes over a part of the token, such as claims.amr");
        }
        self.expression(&repeated.iter)?;
        self.statements(&repeated.else_body)?;
        self.loops.extend([name.id, "loop"]);
        repeated.filter_expr.as_ref().map_or(Ok(()), |expression| self.expression(expression))?;
        self.statements(&repeated.body)?;
        self.loops.truncate(self.loops.len() - 2);
        Ok(())
    }

    fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'a>>) -> Result<(), Fault>
    where
        'a: 'e,
    {
        expressions.into_iter().try_for_each(|expression| self.expression(expression))
    }

    fn expression(&mut self, expression: &Expr<'a>) -> Result<(), Fault> {
        match expression {
            Expr::Const(_) => Ok(()),
            Expr::Var(variable) => self.variable(variable.id, variable.span()),
            Expr::Slice(slice) => {
                self.expression(&slice.expr)?;
                self.expressions([&slice.start, &slice.stop, &slice.step].into_iter().flatten())
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::Mul | BinOpKind::Pow => fault(operation.span(), "there is no * and no **"),
                _ => self.expressions([&operation.left, &operation.right]),
            },
            Expr::Compare(compared) => {
                self.expression(&compared.expr)?;
                self.expressions(compared.ops.iter().map(|operation| &operation.expr))
            }
            Expr::IfExpr(chosen) => {
                self.expressions([&chosen.test_expr, &chosen.true_expr].into_iter().chain(&chosen.false_expr))
            }
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) {
                    let all = FILTERS.join(", ");
                    return fault(filter.span(), format!("there is no filter {}; there are {all}", filter.name));
                }
                self.expressions(&filter.expr)?;
                self.arguments(&filter.args, filter.span())
            }
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    let all = TESTS.join(", ");
                    return fault(test.span(), format!("there is no test {}; there are {all}", test.name));
                }
                self.expression(&test.expr)?;
                self.arguments(&test.args, test.span())
            }
            Expr::GetAttr(part) => self.expression(&part.expr),
            Expr::GetItem(part) => self.expressions([&part.expr, &part.subscript_expr]),
            Expr::List(list) => self.expressions(&list.items),
            Expr::Map(map) => self.expressions(map.keys.iter().chain(&map.values)),
            Expr::Call(call) => fault(call.span(), "nothing can be called"),
            Expr::Tuple(tuple) => fault(tuple.span(), "there are no tuples; a list has brackets"),
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>], span: Span) -> Result<(), Fault> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(expression) | CallArg::Kwarg(_, expression) => self.expression(expression),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => fault(span, "there is no * and no **"),
        })
    }

    fn variable(&mut self, name: &str, span: Span) -> Result<(), Fault> {
        self.found.asks_the_token |= OF_THE_TOKEN.contains(&name);
        if VARIABLES.contains(&name) || self.loops.contains(&name) {
            return Ok(());
        }
        fault(span, format!("there is no variable {name}; there are {}", VARIABLES.join(", ")))
    }
}

/// A variable, or a part of one.
fn is_path(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Var(_) => true,
        Expr::GetAttr(part) => is_path(&part.expr),
        Expr::GetItem(part) => is_path(&part.expr) && matches!(part.subscript_expr, Expr::Const(_) | Expr::Var(_)),
        _ => false,
    }
}
