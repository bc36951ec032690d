//! The same chance in every run. The order in which a hash map gives its entries is drawn anew in each process, and kube
//! polls reconciles in such an order: a simulation that is to replay must draw the same order again.
//!
//! This is a crate of its own because it takes the place of a function of the C library, which nothing else here may do.
//! It works on Linux, and it must never be linked into the operator: keys of TLS would be no secret.

use std::sync::Once;

/// From now on this thread, which must be new, draws what every other thread that began so draws.
pub fn begin(seed: u64) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only where a source was set before.
        let _ = ahash::random_state::set_random_source(Same);
    });
    fastrand::seed(seed);
}

/// The source of ahash's seeds.
struct Same;

impl ahash::random_state::RandomSource for Same {
    fn gen_hasher_seed(&self) -> usize {
        0x5eed
    }
}

/// In place of the C library's: what std seeds a thread's hash maps with.
///
/// # Safety
/// As for the C library's: `buffer` must point to `length` bytes that may be written.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "the signature of the C library's function")]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises that these bytes may be written.
    unsafe { buffer.write_bytes(0x5e, length) };
    isize::try_from(length).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, RandomState};

    fn order() -> Vec<u32> {
        (0..1000).collect::<HashSet<u32>>().into_iter().collect()
    }

    #[test]
    fn every_thread_that_begins_anew_has_the_same_hash_maps() {
        let draw = || {
            super::begin(7);
            (order(), RandomState::new().hash_one("x"), ahash::RandomState::new().hash_one("x"), fastrand::u64(..))
        };
        let first = std::thread::spawn(draw).join().unwrap();
        assert_eq!(first, std::thread::spawn(draw).join().unwrap());
    }
}
