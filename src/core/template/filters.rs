//! The filters and tests that templates have. None of them makes a list or map, and none takes long.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State, filters, tests};
use zeroize::Zeroizing;

use super::{Bounded, MOST_DATA};

/// The filters that there are.
pub(super) const FILTERS: [&str; 13] = [
    "b64encode",
    "default",
    "first",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];

/// The tests that there are, after `is`.
pub(super) const TESTS: [&str; 5] = ["defined", "endingwith", "none", "startingwith", "undefined"];

/// Why a list, a map or null is refused.
pub(super) const NOT_PLAIN: &str = "only texts, numbers, true and false can be written; make JSON of it with tojson";

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("b64encode", |text: &str| STANDARD.encode(text));
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("tojson", to_json);
    // The engine's own takes characters to trim: many of them, and a long text, take long.
    environment.add_filter("trim", |text: &str| text.trim().to_owned());
    environment.add_filter("upper", filters::upper);
    environment.add_filter("urlencode", url_encode);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
}

/// All but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3).
fn url_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Compact JSON, the keys in the order of the alphabet. To walk through a value takes longer than to copy a text.
fn to_json(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let mut out = Bounded { bytes: Zeroizing::default(), room: MOST_DATA, full: Arc::default() };
    let written = serde_json::to_writer(&mut out as &mut dyn io::Write, value);
    state.consume_fuel(out.bytes.len() as u64 / 4)?;
    if out.is_full() {
        return Err(ErrorKind::OutOfFuel.into());
    }
    let text = written.ok().and_then(|()| String::from_utf8(std::mem::take(&mut *out.bytes)).ok());
    text.ok_or_else(|| ErrorKind::BadSerialization.into())
}
