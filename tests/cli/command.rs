//! Calls of the binary, with nothing of the caller's environment that it would heed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What came of a call.
#[derive(Debug)]
pub struct Result {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A call that is being put together.
pub struct Call {
    command: Command,
    input: Option<String>,
}

pub fn call(args: &[&str]) -> Call {
    call_by_name("iam-token-operator", args)
}

/// A folder with links to the binary under all of its names.
pub fn names() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["iam-token-operator", "kubectl-iamtoken", "kubectl_complete-iamtoken"] {
        // One that is there points to the same binary.
        let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_iam-token-operator"), folder.join(name));
    }
    folder
}

/// The binary under this name.
pub fn call_by_name(name: &str, args: &[&str]) -> Call {
    let mut command = Command::new(names().join(name));
    command.args(args).env_clear().current_dir(env!("CARGO_TARGET_TMPDIR"));
    Call { command, input: None }
}

/// A file with this content, by its path. Its name follows from the content, so that runs leave no pile behind.
pub fn file(content: impl AsRef<[u8]>) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let mut hasher = DefaultHasher::new();
    content.as_ref().hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("cli-{:016x}", hasher.finish()));
    let new = folder.join(format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

// === impl Call ===

impl Call {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    pub fn run(mut self) -> Result {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read it has closed it: no matter.
        let _ = stdin.write_all(self.input.unwrap_or_default().as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Result { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

// === impl Result ===

impl Result {
    /// What it printed, having done what it should.
    pub fn succeeded(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// What it complained of: in one line, with nothing printed and an exit code of 1.
    pub fn failed(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.err.starts_with("iam-token-operator: ") && self.err.lines().count() == 1, "{}", self.err);
        self.err
    }

    /// The same of the plugin.
    pub fn complained(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.err.starts_with("kubectl iamtoken: ") && self.err.lines().count() == 1, "{}", self.err);
        self.err
    }

    /// What it printed and what it said besides, with this exit code.
    pub fn ended(self, code: i32) -> (String, String) {
        assert_eq!(self.code, Some(code), "{self:?}");
        (self.out, self.err)
    }

    /// What it complained of where the arguments are wrong: exit code 2.
    pub fn misused(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(2), ""), "{self:?}");
        self.err
    }
}
