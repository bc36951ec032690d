//! Beside the exchanges, now and then a question about the API key. Nothing waits for it, and nothing fails with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Followers, Sharing, followers_of, lock};
use crate::core::key_health::{KeyHealth, Known};
use crate::iam::{AskId, Question};

/// So many questions run at once. One that finds no place is put after the next exchange.
const AT_ONCE: usize = 32;

/// What is known of the API keys of asks that somebody follows.
#[derive(Clone)]
pub(super) struct Keys {
    all: Arc<Mutex<HashMap<AskId, Asked>>>,
    places: Arc<Semaphore>,
}

/// The last question.
struct Asked {
    at: Instant,
    known: Known,
}

// === impl Keys ===

impl Default for Keys {
    fn default() -> Self {
        Self { all: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Keys {
    /// Nobody follows any longer.
    pub(super) fn forget(&self, id: AskId) {
        lock(&self.all).remove(&id);
    }
}

// === impl Sharing ===

impl Sharing {
    /// What is known of the API key of this ask.
    #[must_use]
    pub fn known_of_key(&self, id: AskId) -> Known {
        lock(&self.keys.all).get(&id).map(|asked| asked.known).unwrap_or_default()
    }

    /// Whether its API key may be asked about with the next exchange.
    pub(super) fn is_curious(&self, id: AskId) -> bool {
        let moment = self.clock.moment();
        lock(&self.keys.all).get(&id).is_none_or(|asked| asked.known.is_due(asked.at, moment.steady, moment.wall))
    }

    /// The exchange has given a token, and this question with it.
    pub(super) fn wonder(&self, id: AskId, question: Option<Question>) {
        match (question, Arc::clone(&self.keys.places).try_acquire_owned()) {
            (None, _) => {
                self.note(id, None);
            }
            (Some(question), Ok(place)) => {
                tokio::spawn(self.clone().learn(id, question, place));
            }
            (Some(_), Err(_)) => {}
        }
    }

    /// Those who follow are told where the answer is news to them.
    async fn learn(self, id: AskId, question: Question, place: OwnedSemaphorePermit) {
        let answer = question.await;
        drop(place);
        if self.note(id, answer) {
            let followers = lock(&self.followers);
            followers_of(&followers, id).for_each(|((_, key), call)| drop(call.send(key.clone())));
        }
    }

    /// Keeps the answer as long as somebody follows; whether it is news.
    fn note(&self, id: AskId, answer: Option<KeyHealth>) -> bool {
        let moment = self.clock.moment();
        let followers: &Followers = &lock(&self.followers);
        if followers_of(followers, id).next().is_none() {
            return false;
        }
        let mut all = lock(&self.keys.all);
        let before = all.get(&id).map(|asked| asked.known).unwrap_or_default();
        let known = before.after(answer, moment.wall);
        all.insert(id, Asked { at: moment.steady, known });
        known != before
    }
}

#[cfg(test)]
mod tests;
