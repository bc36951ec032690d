//! The events of a watch on their way to the client.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::Revision;
use super::store::What;
use super::watch::{Watch, WatchEvent};
use super::weather::{Delivery, Weather};

/// A watch with its weather. Events of different objects may overtake each other, but an end leaves no gap: when the
/// stream ends, all that came before the last event that was delivered has been delivered too. So a client that resumes
/// misses nothing, as with the real one.
pub struct Stream {
    watch: Watch,
    who: Arc<str>,
    weather: Arc<dyn Weather>,
    /// What is under way, by when it is due and its number.
    under_way: BTreeMap<(Instant, u64), (WatchEvent, bool)>,
    /// When the last event of each object is due, while that is to come.
    due: BTreeMap<(String, String), Instant>,
    /// When the last of all is due.
    last_due: Instant,
    /// What goes out now.
    out: VecDeque<io::Result<Bytes>>,
    numbers: u64,
    /// The highest that went out.
    delivered: Revision,
    is_over: bool,
    is_silent: bool,
}

// === impl Stream ===

impl Stream {
    pub fn new(watch: Watch, who: Arc<str>, weather: Arc<dyn Weather>) -> Self {
        Self {
            watch,
            who,
            weather,
            under_way: BTreeMap::new(),
            due: BTreeMap::new(),
            last_due: Instant::now(),
            out: VecDeque::new(),
            numbers: 0,
            delivered: 0,
            is_over: false,
            is_silent: false,
        }
    }

    /// The next lines, or the error that ends it.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.out.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            if self.is_silent {
                std::future::pending::<()>().await;
            }
            let due = self.under_way.first_key_value().map(|(key, _)| key.0);
            tokio::select! {
                biased;
                event = self.watch.next() => match event {
                    Some(event) => self.set_out(event),
                    None => self.end(),
                },
                () = sleep_until(due.unwrap_or(self.last_due)), if due.is_some() => self.deliver(),
            }
        }
    }

    /// An event sets out.
    fn set_out(&mut self, event: WatchEvent) {
        let now = Instant::now();
        if event.what == What::Bookmark || event.what == What::Expired {
            // After all that set out before.
            return self.put(self.last_due.max(now), event, false);
        }
        match self.weather.event(&self.who, self.watch.kind(), &event.key.0, &event.key.1) {
            Delivery::Cut { broken } => {
                self.end();
                if broken {
                    let error = io::Error::new(io::ErrorKind::ConnectionReset, "simulated: the watch broke");
                    self.out.push_back(Err(error));
                }
            }
            Delivery::Silence => self.is_silent = true,
            Delivery::Pass { delay, twice } => {
                let due = self.due.get(&event.key).map_or(now + delay, |due| (now + delay).max(*due));
                if due > now {
                    self.due.insert(event.key.clone(), due);
                }
                self.put(due, event, twice);
            }
        }
    }

    fn put(&mut self, due: Instant, event: WatchEvent, twice: bool) {
        self.numbers += 1;
        self.last_due = self.last_due.max(due);
        self.under_way.insert((due, self.numbers), (event, twice));
        // What is due at once needs no timer.
        while self.under_way.first_key_value().is_some_and(|(key, _)| key.0 <= Instant::now()) {
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        let Some(((due, _), (event, twice))) = self.under_way.pop_first() else { return };
        if self.due.get(&event.key).is_some_and(|last| *last <= due) {
            self.due.remove(&event.key);
        }
        self.delivered = self.delivered.max(event.revision);
        if twice {
            self.out.push_back(Ok(event.line.clone()));
        }
        self.is_over |= event.what == What::Expired;
        self.out.push_back(Ok(event.line));
    }

    /// Ends it, after all that was overtaken.
    fn end(&mut self) {
        let mut left: Vec<WatchEvent> =
            std::mem::take(&mut self.under_way).into_values().map(|(event, _)| event).collect();
        left.retain(|event| event.revision < self.delivered && event.what != What::Expired);
        left.sort_by_key(|event| event.revision);
        self.out.extend(left.into_iter().map(|event| Ok(event.line)));
        self.is_over = true;
    }
}
