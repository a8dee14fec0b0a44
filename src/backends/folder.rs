//! The data folder: made for its owner alone, and locked while something in it is made that may be made only once.

use super::{BackendError, Result};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes the folder, and those above it, with mode 0700; one that is there stays as it is.
pub(super) fn make(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, "made", &error))
}

/// Waits until no other process holds the folder, and holds it until the returned file is dropped. Nothing is left
/// behind, whatever happens to this process.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let file = File::open(folder).map_err(|error| failed(folder, "opened", &error))?;
    file.lock().map_err(|error| failed(folder, "locked", &error))?;
    Ok(file)
}

fn failed(folder: &Path, what: &str, error: &std::io::Error) -> BackendError {
    BackendError::new(format_args!("the data folder {} cannot be {what}: {error}", folder.display()))
}
