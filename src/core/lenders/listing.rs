use std::collections::BTreeSet;

/// A list that comes piece by piece: what it does not hold is gone once it is complete.
#[derive(Debug)]
pub(super) struct Listing<K> {
    complete: bool,
    unconfirmed: BTreeSet<K>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { complete: false, unconfirmed: BTreeSet::new() }
    }
}

impl<K: Ord> Listing<K> {
    /// It begins; these were known before.
    pub(super) fn begins(&mut self, known: impl Iterator<Item = K>) {
        self.unconfirmed.extend(known);
    }

    /// It, or news after it, held this.
    pub(super) fn holds(&mut self, key: &K) {
        self.unconfirmed.remove(key);
    }

    /// It is complete. What is gone of those that `belongs` is true of?
    pub(super) fn ends(&mut self, belongs: impl Fn(&K) -> bool) -> Vec<K> {
        self.complete = true;
        self.unconfirmed.extract_if(.., |key| belongs(key)).collect()
    }

    /// Whether it has been complete once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}
