//! The data folder and its files, which only their owner may read and write.
//!
//! A process locks the folder while it creates a file of which there must be only one version.

use super::{BackendError, BackendResult};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The mode of every file that the server creates.
pub(super) const OWNER_ONLY: u32 = 0o600;
/// The mode bits of the group and of other users.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Creates the folder and its parents with mode 0700. A folder that exists keeps its mode.
pub(super) fn create(folder: &Path) -> BackendResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, "created", &error))
}

/// Waits until no other process holds the lock of the folder, and holds it until the returned file is dropped. The
/// system releases the lock even if this process is killed.
pub(super) fn lock(folder: &Path) -> BackendResult<File> {
    let file = File::open(folder).map_err(|error| failed(folder, "opened", &error))?;
    file.lock().map_err(|error| failed(folder, "locked", &error))?;
    Ok(file)
}

/// Creates an empty file that only its owner may use. Does nothing if the file exists.
pub(super) fn create_file(path: &Path) -> BackendResult<()> {
    match File::options().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(find_write_error(path)
            .unwrap_or_else(|| BackendError::new(format_args!("{} cannot be created: {error}", path.display())))),
        Ok(_) => Ok(()),
    }
}

/// Removes the rights of the group and of other users from a file. Does nothing if the file does not exist.
pub(super) fn restrict_to_owner(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.permissions().mode() & GROUP_AND_OTHERS == 0 {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY)) {
        Ok(()) => {
            tracing::warn!(path = %path_shown, "other users could use this file; now only its owner can (mode 0600)");
        }
        Err(error) => {
            tracing::warn!(path = %path_shown, %error, "other users can use this file; run chmod 600 as its owner");
        }
    }
}

/// Returns why `path` cannot be written, if the reason is in the file itself or in its folder. Otherwise returns
/// `None`.
pub(super) fn find_write_error(path: &Path) -> Option<BackendError> {
    if let Err(error) = File::options().write(true).open(path)
        && error.kind() != ErrorKind::NotFound
    {
        return Some(BackendError::new(format_args!("{} cannot be written: {error}", path.display())));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let test_file = folder.join(format!(".greenroom-{}", uuid::Uuid::new_v4().simple()));
    match File::options().write(true).create_new(true).mode(OWNER_ONLY).open(&test_file) {
        Ok(_) => {
            let _ = fs::remove_file(&test_file);
            None
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(BackendError::new(format_args!(
            "the folder {} cannot be written: {error}; {} and the files beside it must be there",
            folder.display(),
            path.file_name().map(PathBuf::from).unwrap_or_default().display()
        ))),
    }
}

fn failed(folder: &Path, action: &str, error: &std::io::Error) -> BackendError {
    BackendError::new(format_args!("the data folder {} cannot be {action}: {error}", folder.display()))
}
