//! Where the programs of a control plane come from.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::Error;

const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hack/control-plane/build");

/// The directory that holds the programs `names`, of `kube-apiserver`, `etcd`, `kubectl` and `helm`.
///
/// They are those of `KUBEBUILDER_ASSETS` where that is set. Otherwise they are built once, which takes minutes and
/// needs Go; the progress goes to standard error. Blocks until they are there.
///
/// # Errors
/// One of them is neither found nor built: what was missing is on standard error.
pub fn binaries(names: &[&str]) -> Result<PathBuf, Error> {
    let output = Command::new(BUILD)
        .args(names)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Error::new(format!("cannot run {BUILD}: {e}")))?;
    if !output.status.success() {
        return Err(Error::new(format!(
            "{BUILD} {}: {}; the reason is on standard error",
            names.join(" "),
            output.status
        )));
    }
    let directory = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(directory.trim_end()))
}

/// `helm` with what it keeps in `home`, and nowhere else.
///
/// # Errors
/// It is neither found nor built.
pub fn helm_cmd(home: &Path) -> Result<Command, Error> {
    static HELM: OnceLock<PathBuf> = OnceLock::new();
    if HELM.get().is_none() {
        let _ = HELM.set(binaries(&["helm"])?.join("helm"));
    }
    let mut command = Command::new(HELM.wait());
    for kind in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{kind}_HOME"), home.join(kind));
    }
    Ok(command)
}

/// [`binaries`], off the threads that run asynchronous tasks.
pub(super) async fn binaries_async(names: &'static [&'static str]) -> Result<PathBuf, Error> {
    tokio::task::spawn_blocking(move || binaries(names)).await.map_err(|e| Error::new(format!("{BUILD}: {e}")))?
}
