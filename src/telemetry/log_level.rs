//! What is logged, which can be changed while the process runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Registry, reload};

/// The level of the log of this process. By default of none.
#[derive(Clone, Default)]
pub struct LogLevel {
    inner: Arc<Mutex<Option<Inner>>>,
}

struct Inner {
    text: String,
    handle: reload::Handle<Targets, Registry>,
}

// === impl LogLevel ===

impl LogLevel {
    /// Of a log that is filtered by `handle`, now by `text`.
    pub(super) fn of(text: &str, handle: reload::Handle<Targets, Registry>) -> Self {
        Self { inner: Arc::new(Mutex::new(Some(Inner { text: text.to_owned(), handle }))) }
    }

    /// As it was last set; `None` where there is no log.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.inner().as_ref().map(|inner| inner.text.clone())
    }

    /// From now on it is this: a level, or a list of `target=level`.
    ///
    /// # Errors
    /// Where it is neither, or there is no log, in words that say so. The level is as it was then.
    pub fn set(&self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("name a level, such as info".into());
        }
        let filter = parse(text)?;
        let mut inner = self.inner();
        let inner = inner.as_mut().ok_or("this process has no log of its own")?;
        inner.handle.reload(filter).map_err(|error| error.to_string())?;
        text.clone_into(&mut inner.text);
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Option<Inner>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// # Errors
/// Where it is neither a level nor a list of `target=level`, in words that say so.
pub(super) fn parse(text: &str) -> Result<Targets, String> {
    text.split(',').map(str::trim).try_fold(Targets::new(), |filter, part| {
        let wrong = || format!("{part} is no level: use error, warn, info, debug or trace, or TARGET=LEVEL");
        let (target, level) = part.split_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let level = Some(level).filter(|level| !level.is_empty()).ok_or_else(wrong)?;
        let level: LevelFilter = level.parse().map_err(|_| wrong())?;
        match target {
            None => Ok(filter.with_default(level)),
            Some(target) if is_path(target) => Ok(filter.with_target(target, level)),
            Some(_) => Err(wrong()),
        }
    })
}

/// Whether it looks like the path of a module.
fn is_path(target: &str) -> bool {
    !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
}
