//! The run folder, and the watchman that clears it and what runs in it once this process is gone.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::Error;

/// Makes the run folder and prints its path, waits until its standard input ends, which it does when this process ends
/// in whatever way, then kills each process recorded in `pids/` and removes the folder.
///
/// A pid counts only while its command line names the folder, so one that was given to another process is left alone.
/// `pids/` goes first: [`LAUNCH`] records itself there before it becomes a daemon, so none can start after that.
const WATCH: &str = r#"
trap '' HUP INT TERM
run=$(mktemp -d "$0/iam-token-operator.XXXXXXXX") && mkdir "$run/pids" && printf '%s\n' "$run" || exit
cat >/dev/null
ours() {
    { tr '\0' ' ' <"/proc/$1/cmdline" || ps -ww -o args= -p "$1"; } 2>/dev/null | grep -qF -- "$run"
}
until rmdir "$run/pids" 2>/dev/null || [ ! -e "$run/pids" ]; do
    for file in "$run"/pids/*; do
        pid=$(cat "$file") && while ours "$pid"; do kill -KILL "$pid"; sleep 0.05; done
        rm -f "$file"
    done
done
while [ -e "$run" ]; do rm -rf "$run" || sleep 0.05; done
"#;

/// Records its own pid and becomes the daemon named by the rest of its arguments; does not where the run folder is gone.
/// `$0` is where the pid is first written, `$1` where it is recorded.
pub(super) const LAUNCH: &str = r#"echo $$ >"$0" && mv "$0" "$1" && shift && exec "$@""#;

/// A folder of its own for one control plane. Dropping it kills the processes recorded in it and removes it; so does the
/// end of this process, even by SIGKILL.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    watchman: Child,
}

impl RunFolder {
    /// Makes the folder, readable by this user only, under the system's temporary folder.
    pub(super) fn new() -> Result<Self, Error> {
        let mut watchman = Command::new("sh")
            .args(["-c", WATCH])
            .arg(env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Out of reach of a Ctrl-C, which goes to the process group of the terminal.
            .process_group(0)
            .spawn()
            .map_err(|e| Error::new(format!("cannot run sh: {e}")))?;
        let mut line = String::new();
        if let Some(stdout) = watchman.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let path = PathBuf::from(line.trim_end());
        let folder = Self { path, watchman };
        if folder.path.is_dir() {
            Ok(folder)
        } else {
            Err(Error::new(format!("cannot make a folder in {}", env::temp_dir().display())))
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        drop(self.watchman.stdin.take());
        let _ = self.watchman.wait();
    }
}
