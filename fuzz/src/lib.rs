//! What is done with bytes that anybody may have sent, and what must hold then beside that nothing panics. Each function
//! is a target of `make fuzz`; `tests/fuzz` does the same with all that is in `corpus/`.

use k8s_openapi::jiff::Timestamp;

mod crd;
mod iam;
mod record;
mod scene;
mod texts;

pub use self::crd::crd;
pub use self::iam::{answer, key_details};
pub use self::record::record;
pub use self::texts::{credential, duration, endpoint, template};

/// A day in 2027.
const THEN: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Takes any bytes, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// All targets by name, which is also that of their folder in `corpus/`.
pub const ALL: [(&str, Target); 8] = [
    ("answer", answer),
    ("crd", crd),
    ("credential", credential),
    ("duration", duration),
    ("endpoint", endpoint),
    ("key_details", key_details),
    ("record", record),
    ("template", template),
];

/// As the API server reads times: Go's RFC 3339, with years of four digits.
fn is_time_for_go(text: &str) -> bool {
    let year = text.split('-').next().unwrap_or_default();
    year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) && text.ends_with('Z')
}
