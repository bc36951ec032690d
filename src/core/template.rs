//! Templates of a target's data: a small part of Jinja, without anything that a template could take long or much memory
//! with, and a function of the token alone: no clock, no chance, no environment. The API key is nowhere near.

mod check;
mod filters;
mod sample;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, UndefinedBehavior};
use zeroize::Zeroizing;

use super::jwt;
use super::schedule::Life;
use crate::api::Identity;

/// The longest template, in bytes.
pub const LONGEST: usize = 32 << 10;

/// How long all templates of one target may be together, in bytes.
pub const LONGEST_TOGETHER: usize = 64 << 10;

/// How much data a Secret holds at the most, in bytes (Kubernetes' API, `MaxSecretSize`).
pub const MOST_DATA: usize = 1 << 20;

/// What all templates of one target may cost together: an instruction costs 1, and so do 64 bytes that are written or
/// kept. The dearest ones take some tens of milliseconds, and under 7 MB.
const FUEL: u64 = 100_000;

/// Blocks in blocks in blocks.
const DEPTH: usize = 200;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The template's line, where it is known.
    pub line: Option<usize>,
    /// What is wrong, as a part of a sentence. Never a value of a token.
    pub what: String,
}

/// What a template is told.
pub struct Facts<'a> {
    /// The access token.
    pub token: &'a str,
    /// Its life.
    pub life: Life,
    /// Whose it is, as far as that is known.
    pub identity: Option<&'a Identity>,
    /// The IamToken's namespace.
    pub namespace: &'a str,
    /// The IamToken's name.
    pub name: &'a str,
}

/// Renders the templates of one target, which share their bounds.
pub struct Renderer {
    environment: Environment<'static>,
    context: Value,
    /// Something was dropped.
    full: Arc<AtomicBool>,
    fuel: u64,
    room: usize,
    /// The token is a sample: what it says may be told.
    sample: bool,
}

/// Takes bytes as long as there is room, and drops what comes after: who writes asks now and again.
struct Bounded {
    bytes: Zeroizing<Vec<u8>>,
    room: usize,
    full: Arc<AtomicBool>,
}

/// Tries the templates of one target, each with its key, before there is a token.
///
/// # Errors
/// The key of the first one that cannot be right, and what is wrong with it. What depends on the claims is not: a token
/// may have others than the sample.
pub fn try_out<'a>(templates: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), (String, Fault)> {
    let mut renderer = None;
    let mut length = 0;
    for (key, source) in templates {
        length += source.len();
        let renderer = renderer.get_or_insert_with(sample::renderer);
        try_one(renderer, source, length).map_err(|fault| (key.to_owned(), fault))?;
    }
    Ok(())
}

fn try_one(renderer: &mut Renderer, source: &str, together: usize) -> Result<(), Fault> {
    if source.len() > LONGEST || together > LONGEST_TOGETHER {
        let what = format!(
            "it is over {} KiB, or over {} KiB together with those before it",
            LONGEST >> 10,
            LONGEST_TOGETHER >> 10
        );
        return Err(Fault { line: None, what });
    }
    let found = check::check(source)?;
    match renderer.run(source) {
        Err(Trouble { open: true, .. }) if found.asks_the_token => Ok(()),
        Err(trouble) => Err(trouble.fault),
        Ok(_) => Ok(()),
    }
}

/// A fault of a run, and whether another token might do without.
struct Trouble {
    fault: Fault,
    open: bool,
}

// === impl Renderer ===

impl Renderer {
    /// One that tells templates these facts.
    #[must_use]
    pub fn new(facts: &Facts<'_>) -> Self {
        let claims = jwt::payload(facts.token).and_then(|json| serde_json::from_slice(&json).ok());
        Self::with_claims(facts, claims.filter(serde_json::Value::is_object).unwrap_or_else(|| serde_json::json!({})))
    }

    fn with_claims(facts: &Facts<'_>, claims: serde_json::Value) -> Self {
        let full = Arc::<AtomicBool>::default();
        Self {
            environment: environment(Arc::clone(&full)),
            context: context(facts, claims),
            full,
            fuel: FUEL,
            room: MOST_DATA,
            sample: false,
        }
    }

    /// Other data of the same Secret, of so many bytes.
    pub fn makes_room_for(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    /// What the template says of the token.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn render(&mut self, source: &str) -> Result<Vec<u8>, Fault> {
        check::check(source)?;
        self.run(source).map_err(|trouble| trouble.fault)
    }

    fn run(&mut self, source: &str) -> Result<Vec<u8>, Trouble> {
        self.environment.set_fuel(Some(self.fuel));
        let mut out = Bounded { bytes: Zeroizing::default(), room: self.room, full: Arc::clone(&self.full) };
        let template = self.environment.template_from_str(source);
        let done = template.and_then(|template| template.render_captured_to(self.context.clone(), &mut out));
        if out.is_full() {
            let what = "with it the Secret's data would be over 1 MiB".to_owned();
            let line = done.err().and_then(|error| error.line());
            return Err(Trouble { fault: Fault { line, what }, open: false });
        }
        let captured = done.map_err(|error| self.trouble(&error))?;
        self.fuel = captured.state().fuel_levels().map_or(0, |(_, left)| left);
        self.room -= out.bytes.len();
        Ok(std::mem::take(&mut *out.bytes))
    }

    fn trouble(&self, error: &Error) -> Trouble {
        let kind = error.kind();
        let what = match kind {
            ErrorKind::OutOfFuel => "it takes too long or too much memory: a loop in a loop?".to_owned(),
            ErrorKind::UndefinedError => "a field or claim is used that the token does not have: ask whether it is \
                                          defined, or give it a default"
                .to_owned(),
            ErrorKind::InvalidOperation if error.detail() == Some(filters::NOT_PLAIN) => filters::NOT_PLAIN.to_owned(),
            // The rest of an error can hold values.
            _ => match error.detail().filter(|_| self.sample) {
                Some(detail) => tidy(&format!("{kind}: {detail}")),
                None => kind.to_string(),
            },
        };
        let open = matches!(
            kind,
            ErrorKind::UndefinedError
                | ErrorKind::InvalidOperation
                | ErrorKind::NonPrimitive
                | ErrorKind::NonKey
                | ErrorKind::BadSerialization
        );
        Trouble { fault: Fault { line: error.line(), what }, open }
    }
}

fn environment(full: Arc<AtomicBool>) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_recursion_limit(DEPTH);
    environment.set_syntax(check::syntax());
    environment.set_formatter(move |out, _, value| {
        print(out, value)?;
        if full.load(Ordering::Relaxed) { Err(ErrorKind::WriteFailure.into()) } else { Ok(()) }
    });
    filters::add(&mut environment);
    environment
}

fn context(facts: &Facts<'_>, claims: serde_json::Value) -> Value {
    let expires_at = facts.life.expires_at();
    let owner = Value::from_pairs([("name", facts.name), ("namespace", facts.namespace)]);
    let mut known: BTreeMap<&str, Value> = [
        ("access_token", Value::from(facts.token)),
        ("token_type", Value::from("Bearer")),
        ("expires_in", Value::from(facts.life.lasts.as_secs())),
        ("expiration", Value::from(expires_at.as_second())),
        ("expires_at", Value::from(expires_at.to_string())),
        ("refreshed_at", Value::from(facts.life.since.to_string())),
        ("iamtoken", owner),
        ("claims", Value::from(Serde(claims))),
    ]
    .into();
    if let Some(identity) = facts.identity {
        let parts = [
            ("iam_id", &identity.iam_id),
            ("account_id", &identity.account_id),
            ("subject_type", &identity.subject_type),
        ];
        known.extend(parts.into_iter().filter_map(|(name, value)| Some((name, Value::from(value.as_deref()?)))));
    }
    Value::from_pairs(known)
}

/// Texts, numbers, true and false. The engine itself refuses what is undefined, but for an `if` without `else`.
fn print(out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }).map_err(Error::from),
        ValueKind::String | ValueKind::Number => write!(out, "{value}").map_err(Error::from),
        _ => Err(Error::new(ErrorKind::InvalidOperation, filters::NOT_PLAIN)),
    }
}

/// One line of at most 200 characters, as part of a sentence.
fn tidy(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let text: String = words.join(" ").chars().take(200).collect();
    text.trim_end_matches(['.', ' ', ':']).to_owned()
}

impl Bounded {
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.room - self.bytes.len() {
            self.full.store(true, Ordering::Relaxed);
        }
        if !self.is_full() {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
