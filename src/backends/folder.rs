//! The data folder: made for its owner alone, as every file in it is, and locked while something in it is made that may be
//! made only once.

use super::{BackendError, Result};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Of every file that the server makes.
pub(super) const OWNER_ONLY: u32 = 0o600;
/// What group and others may do.
const OTHERS: u32 = 0o077;

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

/// Makes an empty file for its owner alone, where there is none.
pub(super) fn make_file(path: &Path) -> Result<()> {
    match File::options().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unwritable(path)
            .unwrap_or_else(|| BackendError::new(format_args!("{} cannot be made: {error}", path.display())))),
        Ok(_) => Ok(()),
    }
}

/// Takes from group and others what they may do with a file that was there before; a file that is not there is no error.
pub(super) fn keep_to_owner(path: &Path) {
    let Ok(found) = fs::metadata(path) else { return };
    if found.permissions().mode() & OTHERS == 0 {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY)) {
        Ok(()) => {
            tracing::warn!(path = %path_shown, "others could use this file; it is its owner's alone now (mode 0600)");
        }
        Err(error) => {
            tracing::warn!(path = %path_shown, %error, "others can use this file; have its owner run chmod 600");
        }
    }
}

/// Why nothing can be written at `path`, where the reason lies in its folder or in the file itself.
pub(super) fn unwritable(path: &Path) -> Option<BackendError> {
    if let Err(error) = File::options().write(true).open(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Some(BackendError::new(format_args!("{} cannot be written: {error}", path.display())));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = folder.join(format!(".greenroom-{}", uuid::Uuid::new_v4().simple()));
    match File::options().write(true).create_new(true).mode(OWNER_ONLY).open(&probe) {
        Ok(_) => {
            let _ = fs::remove_file(&probe);
            None
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(BackendError::new(format_args!(
            "the folder {} cannot be written: {error}; {} and the files beside it belong there",
            folder.display(),
            path.file_name().map(PathBuf::from).unwrap_or_default().display()
        ))),
    }
}

fn failed(folder: &Path, what: &str, error: &std::io::Error) -> BackendError {
    BackendError::new(format_args!("the data folder {} cannot be {what}: {error}", folder.display()))
}
