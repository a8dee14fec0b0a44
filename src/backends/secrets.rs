//! The secret that the server creates at its first start and keeps in the data folder.

use super::{BackendError, BackendResult, folder};
use crate::config::{JWT_SECRET_BYTES, Secret, Settings};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Returns the secret that signs access tokens: the configured one, or the one in `<data folder>/jwt_secret`. Creates
/// that file if it does not exist. Two servers that start for the first time at the same time get the same secret.
pub fn jwt_secret(settings: &Settings) -> BackendResult<Secret> {
    if let Some(configured) = &settings.auth.jwt_secret {
        return Ok(configured.clone());
    }
    folder::create(&settings.data_dir)?;
    let _lock = folder::lock(&settings.data_dir)?;
    let path = settings.data_dir.join("jwt_secret");
    folder::restrict_to_owner(&path);
    match fs::read_to_string(&path) {
        Ok(text) => check_length(&path, text.trim_end()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !settings.database.is_sqlite() {
                tracing::info!(
                    path = %path.display(),
                    "created a secret for tokens; nodes with a common database need a common GREENROOM_JWT_SECRET"
                );
            }
            create(&settings.data_dir, &path)
        }
        Err(error) => Err(BackendError::new(format_args!("{} cannot be read: {error}", path.display()))),
    }
}

fn check_length(path: &Path, text: &str) -> BackendResult<Secret> {
    if text.len() >= JWT_SECRET_BYTES {
        return Ok(Secret::new(text));
    }
    Err(BackendError::new(format_args!(
        "{} has less than {JWT_SECRET_BYTES} bytes; delete it to get a new secret, which ends all logins",
        path.display()
    )))
}

fn create(data_dir: &Path, path: &Path) -> BackendResult<Secret> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| BackendError::new("the operating system returns no random bytes"))?;
    let text = STANDARD.encode(bytes);
    write(data_dir, path, &text).map_err(|error| {
        folder::find_write_error(path)
            .unwrap_or_else(|| BackendError::new(format_args!("{} cannot be written: {error}", path.display())))
    })?;
    Ok(Secret::new(text))
}

/// Writes a file beside `path` and renames it, so that a process that is killed meanwhile leaves no incomplete secret.
/// The calling code holds the lock of the folder, so no other process writes there. Only the owner can read the file.
fn write(data_dir: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(folder::OWNER_ONLY).open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn settings(folder: &Path) -> Settings {
        let pair = ("GREENROOM_DATA_DIR".to_owned(), folder.display().to_string());
        Settings::from_pairs([pair], None).expect("the settings are valid")
    }

    #[test]
    fn servers_that_start_at_once_get_the_same_secret() {
        let folder = tempfile::tempdir().expect("the folder is created");
        let settings = settings(&folder.path().join("data"));
        let secrets: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| jwt_secret(&settings).expect("the secret is created or read"))).collect();
            starts.into_iter().map(|start| start.join().expect("the start ends").expose().to_owned()).collect()
        });
        assert!(secrets[0].len() >= JWT_SECRET_BYTES);
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(
            jwt_secret(&settings).expect("the secret is created or read").expose(),
            secrets[0],
            "a later start gets the same secret too"
        );
    }

    #[test]
    fn an_incomplete_secret_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().expect("the folder is created");
        fs::write(folder.path().join("jwt_secret"), "half").expect("the file is written");
        let refused = jwt_secret(&settings(folder.path())).expect_err("the secret is too short");
        assert!(refused.to_string().contains("less than 32 bytes"), "{refused}");
    }
}
