//! A short text that is mostly a uid, a resourceVersion or a digest, kept as the bytes that it stands for: a few of them
//! are kept for each of many thousand IamTokens.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text, 24 bytes however long it is where it is a uid, a resourceVersion or a digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Short(Form);

/// No text has two forms: the first that fits it is its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Form {
    /// Decimal digits.
    Number(u64),
    /// 16 hex digits.
    Half([u8; 8]),
    /// 32 hex digits.
    Whole([u8; 16]),
    /// 8-4-4-4-12 hex digits.
    Uuid([u8; 16]),
    /// Any other.
    Other(Box<str>),
}

/// How many hex digits are between the hyphens of a uid.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

// === impl Short ===

impl Short {
    /// The number, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            Form::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl Default for Short {
    fn default() -> Self {
        Self(Form::Other(Box::default()))
    }
}

impl From<&str> for Short {
    fn from(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &u64| number.to_string() == text).map(Form::Number);
        let form = number
            .or_else(|| bytes(text).map(Form::Half))
            .or_else(|| bytes(text).map(Form::Whole))
            .or_else(|| uuid(text).map(Form::Uuid));
        Self(form.unwrap_or_else(|| Form::Other(text.into())))
    }
}

impl From<String> for Short {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Number(number) => write!(f, "{number}"),
            Form::Half(bytes) => hex(f, bytes),
            Form::Whole(bytes) => hex(f, bytes),
            Form::Uuid(bytes) => {
                let mut from = 0;
                for digits in GROUPS {
                    f.write_str(if from == 0 { "" } else { "-" })?;
                    hex(f, &bytes[from..from + digits / 2])?;
                    from += digits / 2;
                }
                Ok(())
            }
            Form::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl PartialEq<str> for Short {
    fn eq(&self, other: &str) -> bool {
        self.0 == Self::from(other).0
    }
}

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let groups = text.split('-');
    groups.clone().map(str::len).eq(GROUPS).then(|| groups.collect::<String>()).and_then(|digits| bytes(&digits))
}

/// The bytes that the text is the hex digits of.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for (text, is_short) in [
            ("", false),
            ("0", true),
            ("18446744073709551615", true),
            ("18446744073709551616", false),
            ("007", false),
            ("+7", false),
            ("1234567890123456", true),
            ("0123456789abcdef", true),
            ("0123456789ABCDEF", false),
            ("+123456789abcdef", false),
            ("00112233445566778899aabbccddeeff", true),
            ("00112233-4455-6677-8899-aabbccddeeff", true),
            ("00112233-4455-6677-8899-AABBCCDDEEFF", false),
            ("001122334-455-6677-8899-aabbccddeeff", false),
            ("00112233-4455-6677-8899-aabbccddeef-", false),
            ("any other text, é included", false),
        ] {
            let short = Short::from(text);
            assert_eq!(short.to_string(), text);
            assert_eq!(matches!(short.0, Form::Other(_)), !is_short, "{text}");
            assert!(short == *text && short != *"another");
            let json = serde_json::to_string(&short).unwrap();
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert_eq!(serde_json::from_str::<Short>(&json).unwrap(), short);
        }
    }

    #[test]
    fn texts_that_stand_for_the_same_bytes_differ() {
        let [digest, uid] =
            ["00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff"].map(Short::from);
        assert_ne!(digest, uid);
    }

    #[test]
    fn only_numbers_are_numbers() {
        assert_eq!(Short::from("1042").number(), Some(1042));
        assert_eq!(Short::from("1042a").number(), None);
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Short>(), 24);
        assert_eq!(size_of::<Option<Short>>(), 24);
    }
}
