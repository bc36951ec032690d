//! `list`: all IamTokens, each in a line.

use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;

use super::desk::{Desk, listed, now};
use super::glance::Glance;
use crate::api::Listed;
use crate::cli::output::ObjectForm;
use crate::cli::text::bar::{bar, width};
use crate::cli::text::span::{between, words};
use crate::cli::text::table::{Cell, table};
use crate::cli::text::{Style, Tone};
use crate::cli::{Error, Verdict, print};

/// Lists the IamTokens of a namespace, or of all.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,

    /// Only those with these labels, as `kubectl get` takes it: app=web,tier!=test
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,

    /// How they are told; a table by default
    #[arg(long, short, value_name = "FORM")]
    output: Option<ListForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListForm {
    /// A table with identity, account, and age too
    Wide,
    /// A List as JSON
    Json,
    /// The same as YAML
    Yaml,
    /// iamtoken.iamtoken.dev/NAME, one a line
    Name,
}

/// Which columns a table has.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    namespace: bool,
    wide: bool,
}

// === impl List ===

impl List {
    pub(super) async fn run(self, desk: &Desk) -> Result<Verdict, Error> {
        let objects = desk.cluster.list(self.all_namespaces, self.selector.as_deref()).await?;
        let form = match self.output {
            Some(ListForm::Json) => Some(ObjectForm::Json),
            Some(ListForm::Yaml) => Some(ObjectForm::Yaml),
            Some(ListForm::Name) => Some(ObjectForm::Name),
            None | Some(ListForm::Wide) => None,
        };
        if let Some(form) = form {
            print(&form.many(&objects)?)?;
        } else if objects.is_empty() {
            eprintln!("{}", self.nothing(&desk.cluster.namespace));
        } else {
            let columns = Columns { namespace: self.all_namespaces, wide: self.output.is_some() };
            print(&lines(desk.style, columns, &objects, now())?)?;
        }
        Ok(Verdict::Well)
    }

    fn nothing(&self, namespace: &str) -> String {
        let such = if self.selector.is_some() { " with such labels" } else { "" };
        if self.all_namespaces {
            format!("There is no IamToken{such} in any namespace.")
        } else {
            format!("There is no IamToken{such} in namespace {namespace}. -A looks in all namespaces, -n in another.")
        }
    }
}

fn lines(style: Style, columns: Columns, objects: &[DynamicObject], now: Timestamp) -> Result<String, Error> {
    let tokens: Vec<Listed> = objects.iter().map(listed).collect::<Result<_, _>>()?;
    let rows = tokens.iter().map(|token| row(style, columns, &Glance::new(token, now)));
    let head = titles(columns).into_iter().map(|title| Cell::new(style, Tone::Faint, title)).collect();
    Ok(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

fn titles(columns: Columns) -> Vec<&'static str> {
    let mut titles = vec!["NAMESPACE", "NAME", "STATE", "LIFE", "LEFT", "REFRESH", "TARGET"];
    if columns.wide {
        titles.extend(["IDENTITY", "ACCOUNT", "AGE"]);
    }
    titles.split_off(usize::from(!columns.namespace))
}

fn row(style: Style, columns: Columns, glance: &Glance<'_>) -> Vec<Cell> {
    let (plain, tone) = (|text: &str| Cell::new(style, Tone::Plain, text), glance.state.tone());
    let life = glance.life.as_ref();
    let mut row = vec![
        plain(glance.namespace),
        Cell::new(style, Tone::Strong, glance.name),
        Cell::new(style, tone, &glance.state.words()),
        life.map_or_else(|| plain(""), |life| Cell::painted(bar(style, tone, life, glance.now), width(style))),
        plain(&glance.left()),
        plain(&glance.refresh()),
        plain(glance.target()),
    ];
    if columns.wide {
        let identity = glance.status().and_then(|status| status.identity.as_ref());
        let created = glance.token.metadata.creation_timestamp.as_ref();
        row.push(plain(identity.and_then(|identity| identity.iam_id.as_deref()).unwrap_or_default()));
        row.push(plain(identity.and_then(|identity| identity.account_id.as_deref()).unwrap_or_default()));
        row.push(plain(&created.map(|at| words(between(at.0, glance.now))).unwrap_or_default()));
    }
    row.split_off(usize::from(!columns.namespace))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NAMES, NOW, compare, object};
    use super::*;
    use crate::cli::text::{PLAIN, TERMINAL};

    fn text(style: Style, columns: Columns) -> String {
        let objects: Vec<_> = NAMES.iter().map(|name| serde_json::from_value(object(name)).unwrap()).collect();
        lines(style, columns, &objects, NOW.parse().unwrap()).unwrap()
    }

    #[test]
    fn each_state_has_its_line() {
        compare("list.txt", &text(PLAIN, Columns::default()));
        compare("list-wide.txt", &text(PLAIN, Columns { namespace: true, wide: true }));
        compare("list-terminal.txt", &text(TERMINAL, Columns { namespace: true, wide: false }));
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let coloured = text(Style { unicode: false, ..TERMINAL }, Columns::default());
        let mut plain = String::new();
        for (place, part) in coloured.split("\x1b[").enumerate() {
            plain += if place == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(plain, text(PLAIN, Columns::default()));
    }
}
