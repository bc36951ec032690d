//! What is in the memory of a running process. Only root may look.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;

/// All that a process may write to, each mapping with its name.
pub struct Memory(Vec<(String, Vec<u8>)>);

/// As docs/security.md says, and a little for what is left to do then.
pub const A_MINUTE: Duration = Duration::from_secs(63);

/// How much of a secret is a find, in bytes, and how far apart what is looked for begins.
const PIECE: usize = 24;
const STEP: usize = 128;

impl Memory {
    /// # Errors
    /// Where this user may not look.
    pub fn of(process: u32) -> io::Result<Self> {
        let memory = File::open(format!("/proc/{process}/mem"))?;
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
        let mappings = maps.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (from, to) = fields[0].split_once('-')?;
            let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
            let writable = fields[1].starts_with("rw");
            (writable && memory.read_exact_at(&mut bytes, from).is_ok())
                .then(|| ((*fields.get(5).unwrap_or(&"anonymous")).to_owned(), bytes))
        });
        Ok(Self(mappings.collect()))
    }

    /// Where any piece of the text is, as it is or in base64, with how often.
    pub fn places(&self, text: &str) -> Vec<String> {
        // What stands before the first dot of a token tells how it is signed, and is the same in all.
        let begin = text.find('.').map_or(8, |dot| dot + 8);
        let pieces = (begin..text.len() - PIECE).step_by(STEP).map(|at| &text[at..at + PIECE]);
        let forms: Vec<Vec<u8>> = pieces.flat_map(forms).collect();
        let finders: Vec<_> = forms.iter().map(Finder::new).collect();
        assert!(!finders.is_empty());
        let found = |bytes: &Vec<u8>| finders.iter().map(|finder| finder.find_iter(bytes).count()).sum::<usize>();
        let named = self.0.iter().map(|(name, bytes)| (name, found(bytes)));
        named.filter(|(_, found)| *found > 0).map(|(name, found)| format!("{name}: {found}")).collect()
    }
}

/// As it is, and in base64 wherever in a larger text it stood.
fn forms(piece: &str) -> impl Iterator<Item = Vec<u8>> {
    let shifted = (0..3).map(move |shift| {
        let encoded = STANDARD.encode([&b"..."[..shift], piece.as_bytes()].concat());
        encoded.as_bytes()[4..encoded.len() - 4].to_vec()
    });
    std::iter::once(piece.as_bytes().to_vec()).chain(shifted)
}
