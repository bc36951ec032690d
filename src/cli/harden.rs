//! What keeps keys and tokens in the memory of this process, and out of files, logs and other processes.

use std::panic::PanicHookInfo;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use tracing::{debug, error, warn};

/// No core file is written, nobody but root may read the memory of this process, `/proc/PID/mem` and ptrace included
/// (`PR_SET_DUMPABLE`, prctl(2)), none of it is swapped where the kernel lets it be locked (mlockall(2)), and a panic says
/// where it was and no more. Where the kernel refuses, the log says so, and the process goes on.
pub(super) fn harden() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        warn!("core files could not be switched off: {error}");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!("the memory of this process could not be closed to others: {error}");
    }
    lock_memory();
    std::panic::set_hook(Box::new(tell_of_panic));
}

/// Pages are locked as they come into use, so this costs no memory.
fn lock_memory() {
    if !may_lock_all() {
        debug!("memory may be swapped: RLIMIT_MEMLOCK is limited, and CAP_IPC_LOCK is not there");
        return;
    }
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => debug!("memory is locked: none of it is swapped"),
        Err(error) => warn!("memory could not be locked and may be swapped: {error}"),
    }
}

/// However much there will be: under a limit, memory that is asked for beyond it would be refused.
fn may_lock_all() -> bool {
    let may = |sets: rustix::thread::CapabilitySets| sets.effective.contains(CapabilitySet::IPC_LOCK);
    getrlimit(Resource::Memlock).current.is_none() || capabilities(None).is_ok_and(may)
}

/// The message of a panic may quote what was worked on, such as the text that an index was wrong for.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    error!(
        place,
        "a fault of the operator itself: please report it. What it says is not shown, as it may quote a secret"
    );
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::dumpable_behavior;

    use super::*;
    use crate::telemetry::{self, LogFormat};

    const SECRET: &str = "FAKE-key-in-a-panic";
    const PANICS: &str = "cli::harden::tests::in_a_process_of_its_own";
    /// Names what the process that panics does.
    const ORDER: &str = "IAM_TOKEN_OPERATOR_TEST_PANIC";

    #[test]
    fn a_panic_tells_its_place_and_nothing_more() {
        let said = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PANICS, "--nocapture", "--include-ignored"])
            .env(ORDER, SECRET)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(said.contains("src/cli/harden.rs:") && said.contains("a fault of the operator itself"), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }

    /// Alone, since the hook and what else [`harden`] does is of the whole process.
    #[test]
    #[ignore = "is started by others"]
    fn in_a_process_of_its_own() {
        let Ok(secret) = std::env::var(ORDER) else { return };
        telemetry::init(LogFormat::Text, "info", None).unwrap();
        harden();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let ends_within = format!("{secret}ä").len() - 1;
        drop(format!("{secret}ä").split_off(ends_within));
    }
}
