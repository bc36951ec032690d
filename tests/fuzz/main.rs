//! What `make fuzz` does with drawn bytes, done with those of the corpus: seeds, what fuzzing found to be worth keeping,
//! and each crash that there ever was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs::{read, read_dir, read_to_string};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

/// The largest corpus of a target, in bytes: the repository holds what matters, and no more.
const LARGEST: usize = 64 << 10;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &str) -> BTreeSet<String> {
    let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    files(&Path::new(FUZZ).join(folder)).iter().map(stem).collect()
}

#[test]
fn every_target_is_a_program_with_a_corpus() {
    let all: BTreeSet<String> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(all, names("fuzz_targets"));
    assert_eq!(all, names("corpus"));
    let manifest = read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
    for name in all {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn all_that_is_in_the_corpus_is_taken() {
    for (name, target) in targets::ALL {
        let files = files(&Path::new(FUZZ).join("corpus").join(name));
        let inputs: Vec<_> = files.iter().map(|file| read(file).unwrap()).collect();
        assert!(inputs.len() >= 5, "{name}: too few to tell anything");
        assert!(inputs.iter().map(Vec::len).sum::<usize>() <= LARGEST, "{name}: cargo fuzz cmin {name}");
        for (file, input) in files.iter().zip(inputs) {
            assert!(catch_unwind(|| target(&input)).is_ok(), "{}", file.display());
        }
    }
}
