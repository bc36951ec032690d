//! A strict reader of `application/x-www-form-urlencoded` (WHATWG URL, section 5.1), which forgives nothing that a careless
//! client might get wrong: escapes that are no escapes, bytes that should have been escaped, a field given twice.

use std::collections::HashMap;
use std::fmt;

/// The fields of a form. `Debug` gives the names only.
pub(crate) struct Form(HashMap<String, String>);

impl Form {
    /// Reads a form; the error says what is wrong and quotes nothing of it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut fields = HashMap::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let name = decode(&pair[..equals])?;
            let value = decode(pair.get(equals + 1..).unwrap_or_default())?;
            if fields.insert(name, value).is_some() {
                return Err("a property is given more than once");
            }
        }
        Ok(Self(fields))
    }

    /// The value of a field unless it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn decode(part: &[u8]) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(part.len());
    let mut rest = part.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(hex_digit).ok_or("malformed percent-escape")?;
                let low = rest.next().and_then(hex_digit).ok_or("malformed percent-escape")?;
                high << 4 | low
            }
            b'=' | 0..=b' ' | 0x7f.. => return Err("a byte that must be escaped"),
            other => *other,
        });
    }
    String::from_utf8(decoded).map_err(|_| "not UTF-8")
}

fn hex_digit(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn decodes_what_is_well_formed() {
        let form = Form::parse(b"a=urn%3Aibm&b=x+y&c=%2B%26&empty=&bare").expect("well-formed");
        assert_eq!(form.get("a"), Some("urn:ibm"));
        assert_eq!(form.get("b"), Some("x y"));
        assert_eq!(form.get("c"), Some("+&"));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.get("bare"), None);
    }

    #[test]
    fn refuses_what_is_not() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=1&a=1", "a=%ff", "a= b", "a=b=c", "a=\u{e9}", "a=b\n"] {
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
