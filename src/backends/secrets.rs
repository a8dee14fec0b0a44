//! Secrets that the server makes for itself at its first start and keeps in the data folder.

use super::{BackendError, Result, folder};
use crate::config::{JWT_SECRET_BYTES, Secret, Settings};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The secret that signs our tokens: the configured one, or the one in `<data folder>/jwt_secret`, which is made when it
/// is missing. Two first starts at once get the same one.
pub fn jwt_secret(settings: &Settings) -> Result<Secret> {
    if let Some(configured) = &settings.auth.jwt_secret {
        return Ok(configured.clone());
    }
    folder::make(&settings.data_dir)?;
    let _lock = folder::lock(&settings.data_dir)?;
    let path = settings.data_dir.join("jwt_secret");
    folder::keep_to_owner(&path);
    match fs::read_to_string(&path) {
        Ok(text) => usable(&path, text.trim_end()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !settings.database.is_sqlite() {
                tracing::info!(
                    path = %path.display(),
                    "made a secret for tokens; nodes that share a database need the same GREENROOM_JWT_SECRET instead"
                );
            }
            make(&settings.data_dir, &path)
        }
        Err(error) => Err(BackendError::new(format_args!("{} cannot be read: {error}", path.display()))),
    }
}

fn usable(path: &Path, text: &str) -> Result<Secret> {
    if text.len() >= JWT_SECRET_BYTES {
        return Ok(Secret::new(text));
    }
    Err(BackendError::new(format_args!(
        "{} has less than {JWT_SECRET_BYTES} bytes; delete it to get a new one, which signs everybody out",
        path.display()
    )))
}

fn make(data_dir: &Path, path: &Path) -> Result<Secret> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| BackendError::new("this machine gives no random bytes"))?;
    let text = STANDARD.encode(bytes);
    write(data_dir, path, &text).map_err(|error| {
        folder::unwritable(path)
            .unwrap_or_else(|| BackendError::new(format_args!("{} cannot be written: {error}", path.display())))
    })?;
    Ok(Secret::new(text))
}

/// Writes beside `path` and renames, so that a process that dies on the way leaves no half of a secret; the folder is
/// locked, so nobody else writes there. Only the owner can read it.
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
        Settings::from_pairs([pair], None).expect("valid settings")
    }

    #[test]
    fn all_who_start_at_once_get_the_same_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(&folder.path().join("data"));
        let secrets: Vec<_> = thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| jwt_secret(&settings).expect("a secret"))).collect();
            starts.into_iter().map(|start| start.join().expect("it ends").expose().to_owned()).collect()
        });
        assert!(secrets[0].len() >= JWT_SECRET_BYTES);
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(jwt_secret(&settings).expect("a secret").expose(), secrets[0], "and so does a later start");
    }

    #[test]
    fn half_a_secret_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("jwt_secret"), "half").expect("a file");
        let refused = jwt_secret(&settings(folder.path())).expect_err("it is too short");
        assert!(refused.to_string().contains("less than 32 bytes"), "{refused}");
    }
}
