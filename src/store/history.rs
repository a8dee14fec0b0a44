//! Which history the database holds. Revisions and ids of the log mean something only within one; a backup that was
//! restored, or a standby that took over and lacks what was committed last, is another, and counts on from where it
//! stands. Each history has an *epoch*, which is stored in the database and changed by one compare-and-set, so that all
//! nodes agree on it. How it is noticed that the history is another is in `backends/history.rs`.

use super::db::Db;
use super::gate::Class;
use super::pools::Share;
use super::{dialect, log, meta};
use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::Result;
use aws_lc_rs::digest::{SHA256, digest};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult};
use std::collections::HashSet;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// How long after a change rooms of the epoch before may still speak.
const SETTLING: Duration = Duration::from_secs(5);

/// What this process knows of the history.
pub struct History {
    epoch: watch::Sender<Arc<str>>,
    /// Epochs that this process has left. None of them comes back: a statement that names one began before.
    left: Mutex<HashSet<Arc<str>>>,
    newest: Mutex<Witness>,
    place: OnceLock<Box<dyn Place>>,
    /// When the epoch last changed under this process.
    changed: Mutex<Option<Instant>>,
}

/// Where the open database is, where that is a file.
pub trait Place: Send + Sync {
    /// Whether it still is the one that its name leads to.
    fn is_at_its_name(&self) -> bool;

    /// Whether nobody else wrote to it, as far as that can be told at once.
    fn is_as_left(&self) -> bool;

    /// Looks into it after somebody else wrote to it: whether it still is the database that is open.
    fn is_whole(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// This process is about to write to it, or has: from then on it is to stay as it is.
    fn writes(&self, now: bool);

    /// The newest row of the log of events that is in it for certain.
    fn holds(&self, newest: Witness);
}

/// A row of the log that was seen committed, by its id and a digest of what never changes in it. The payload is not part
/// of it: it is rewritten when a message is deleted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Witness {
    /// The id of the row. In a log without rows the greatest id it ever gave; 0 when it had given none.
    pub id: i64,
    /// The digest in hexadecimal; empty where the log had no row.
    pub digest: String,
}

impl Default for History {
    fn default() -> Self {
        Self {
            epoch: watch::Sender::new(Arc::from("")),
            left: Mutex::default(),
            newest: Mutex::default(),
            place: OnceLock::new(),
            changed: Mutex::default(),
        }
    }
}

impl History {
    /// The epoch as far as this process knows.
    pub fn epoch(&self) -> Arc<str> {
        self.epoch.borrow().clone()
    }

    /// Changes when the epoch does.
    pub fn changes(&self) -> watch::Receiver<Arc<str>> {
        self.epoch.subscribe()
    }

    /// Takes over the epoch that the database was read to have.
    pub fn adopt(&self, epoch: &str) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.epoch() == *epoch || left.contains(epoch) {
            return;
        }
        let before = self.epoch.send_replace(Arc::from(epoch));
        if !before.is_empty() {
            tracing::warn!("the database holds another history than before; sessions begin anew");
            self.forget_newest();
            *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            left.insert(before);
        }
    }

    /// Whether everything on this node was of the present epoch at that moment: it takes a while until all rooms of the
    /// one before have ended.
    pub fn was_settled(&self, at: Instant) -> bool {
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.is_none_or(|changed| at > changed + SETTLING)
    }

    /// The newest row that this process has seen committed.
    pub fn newest(&self) -> Witness {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the newest row that was seen committed in `epoch`. What is known already stays where the log has only older
    /// rows, or none: retention has removed the newer ones, and they still tell this history from an older copy of it.
    pub fn note(&self, epoch: &str, witness: &Witness) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let tells_more = !witness.digest.is_empty() || newest.id == 0;
        if *self.epoch() == *epoch && tells_more && witness.id > newest.id {
            newest.clone_from(witness);
        }
    }

    /// Forgets the newest row: it belongs to another history than the one that begins now.
    pub fn forget_newest(&self) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Witness::default();
    }

    /// From now on `place` says whether the open database still is the one that its name leads to. Only the first is
    /// kept.
    pub fn stays_at(&self, place: impl Place + 'static) {
        let _ = self.place.set(Box::new(place));
    }

    /// Whether the open database still is the one that its name leads to, and nobody wrote over it. If not, what is
    /// committed is lost with the next start, so nothing may be acknowledged.
    pub async fn is_in_place(&self) -> bool {
        match self.place.get() {
            Some(place) => place.is_at_its_name() && (place.is_as_left() || place.is_whole().await),
            None => true,
        }
    }

    /// Whether the open database still is the one that its name leads to, whoever wrote to it.
    pub fn is_at_its_name(&self) -> bool {
        self.place.get().is_none_or(|place| place.is_at_its_name())
    }

    /// The newest row of the log of events that is in the file of the database for certain.
    pub fn holds(&self, newest: Witness) {
        if let Some(place) = self.place.get() {
            place.holds(newest);
        }
    }

    /// Runs what writes to the file of the database; afterwards nobody else may.
    pub async fn written<T>(&self, write: impl Future<Output = T>) -> T {
        struct Writing<'p>(Option<&'p dyn Place>);
        impl Drop for Writing<'_> {
            fn drop(&mut self) {
                if let Some(place) = self.0 {
                    place.writes(false);
                }
            }
        }
        // told of the end also when the caller vanishes before
        let writing = Writing(self.place.get().map(|place| &**place));
        if let Some(place) = writing.0 {
            place.writes(true);
        }
        write.await
    }
}

impl Witness {
    /// Of a row with the columns of [`ROW`].
    pub fn of(row: &QueryResult) -> Result<Self, DbErr> {
        let id: i64 = row.try_get("", "id")?;
        let stream: Uuid = row.try_get("", "stream_id")?;
        let text = format!(
            "{id} {} {stream} {} {} {}",
            row.try_get::<i16>("", "stream_kind")?,
            row.try_get::<i64>("", "rev")?,
            row.try_get::<String>("", "event_type")?,
            row.try_get::<i64>("", "created_at")?
        );
        let digest = digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Ok(Self { id, digest })
    }

    /// What a file keeps.
    pub fn to_text(&self) -> String {
        format!("{} {}\n", self.id, self.digest)
    }

    /// What a file kept; `None` if it is not whole.
    pub fn from_text(text: &str) -> Option<Self> {
        let (id, digest) = text.strip_suffix('\n')?.split_once(' ')?;
        let id = id.parse().ok().filter(|id| *id >= 0)?;
        let is_whole = digest.is_empty() || (id > 0 && digest.len() == 64);
        is_whole.then(|| Self { id, digest: digest.to_owned() })
    }

    /// Whether a log belongs to the history in which this was seen: `found` is its row with the same id, `sequence` the
    /// greatest id it ever gave. A row that retention removed counts as there if ids have gone past it.
    pub fn is_of(&self, found: Option<&Self>, sequence: i64) -> bool {
        match found {
            Some(found) if !self.digest.is_empty() => found == self,
            _ => sequence >= self.id,
        }
    }
}

/// The columns that a [`Witness`] is made of.
pub const ROW: &str = "id, stream_kind, stream_id, rev, event_type, created_at";

/// The greatest id that the log ever gave, on PostgreSQL.
pub const SEQUENCE_ON_POSTGRES: &str =
    "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS last";

/// Changes the epoch from `$1` to `$2` unless somebody else has, and in the same statement moves the ids of the log, and
/// the positions of the sequencer, beyond all that were ever used: up to the next multiple of 2^32 above the last one and
/// `$3`. `$4` and `$5`, where they are not empty, say in which server and in which tables the new history is.
pub const CHANGE_ON_POSTGRES: &str = "WITH changed AS (
         UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1 RETURNING value
     ), noted AS (
         INSERT INTO meta (key, value)
         SELECT k, v FROM changed, (VALUES ('history_server', $4::text), ('history_tables', $5::text)) AS t(k, v)
         WHERE v <> '' ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
     ), moved AS (
         SELECT setval(pg_get_serial_sequence('outbox', 'id')::regclass, ((GREATEST(
             COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0), $3::bigint,
             (SELECT COALESCE(max(cursor), 0) FROM readers)) >> 32) + 1) << 32) AS id FROM changed
     ), numbered AS (
         UPDATE readers SET cursor = moved.id FROM moved WHERE name = 'sequencer'
     )
     SELECT id FROM moved";

/// What the historian sees in one look.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The epoch.
    pub epoch: String,
    /// The newest row of the log; without a digest in a log that has none.
    pub newest: Witness,
    /// Which event that row is.
    pub event: Option<(Stream, Rev)>,
}

/// The epoch, and the newest row of the log.
pub async fn look(conn: &impl ConnectionTrait) -> Result<Seen, DbErr> {
    // by its id, so that both databases find the row without a look at any other
    let text = format!(
        "SELECT m.value AS epoch, {} FROM meta m
         LEFT JOIN outbox o ON o.id = (SELECT max(id) FROM outbox) WHERE m.key = 'epoch'",
        ROW.split(", ").map(|column| format!("o.{column}")).collect::<Vec<_>>().join(", ")
    );
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the database has no epoch; the schema makes one".into()))?;
    let newest = match row.try_get::<Option<i64>>("", "id")? {
        Some(_) => Witness::of(&row)?,
        None => Witness { id: sequence(conn).await?, digest: String::new() },
    };
    let event = match row.try_get::<Option<i64>>("", "rev")? {
        Some(rev) => {
            Some((Stream::from_parts(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?), Rev(rev)))
        }
        None => None,
    };
    Ok(Seen { epoch: row.try_get("", "epoch")?, newest, event })
}

/// Whether an event that was seen in the row of this id was committed in another history: its stream does not reach it any
/// more, or the event of that revision is in another row. Where the row is only gone, retention has removed it.
pub async fn is_undone(conn: &impl ConnectionTrait, id: i64, stream: Stream, rev: Rev) -> Result<bool, DbErr> {
    let reached = log::heads(conn, &[stream]).await?.first().map_or(Rev(0), |(_, last)| *last);
    let text = "SELECT id FROM outbox WHERE stream_kind = $1 AND stream_id = $2 AND rev = $3";
    let values = vec![stream.kind().into(), stream.id().into(), rev.into()];
    let row = dialect::one(conn, dialect::plain(conn, text, values)).await?;
    let at = row.map(|row| row.try_get::<i64>("", "id")).transpose()?;
    Ok(reached < rev || at.is_some_and(|at| at != id))
}

/// The row with this id.
pub async fn row(conn: &impl ConnectionTrait, id: i64) -> Result<Option<Witness>, DbErr> {
    let statement = dialect::plain(conn, &format!("SELECT {ROW} FROM outbox WHERE id = $1"), vec![id.into()]);
    dialect::one(conn, statement).await?.map(|row| Witness::of(&row)).transpose()
}

/// The greatest id that the log ever gave.
pub async fn sequence(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sqlite = "SELECT COALESCE(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'outbox'";
    let statement = dialect::statement(conn, SEQUENCE_ON_POSTGRES, sqlite, vec![]);
    dialect::one(conn, statement).await?.map_or(Ok(0), |row| row.try_get("", "last"))
}

/// A new epoch, at random.
pub fn new_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Begins a new epoch unless somebody has ended `old` already, and takes over whichever there is now. Ids go on beyond
/// all that were used, `above` among them.
pub async fn change(db: &Db, old: &str, above: i64) -> Result<()> {
    let new = new_epoch();
    if db.backend() == DatabaseBackend::Postgres {
        let (conn, values) = (db.write()?, vec![old.into(), new.into(), above.into(), "".into(), "".into()]);
        dialect::one(conn, dialect::plain(conn, CHANGE_ON_POSTGRES, values)).await?;
    } else {
        let _turn = db.turn(Class::System).await;
        let tx = db.begin().await?;
        let text = "UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1";
        let changed = dialect::run(&tx, dialect::plain(&tx, text, vec![old.into(), new.into()])).await?;
        if changed.rows_affected() == 1 {
            let base = ((sequence(&tx).await?.max(above) >> 32) + 1) << 32;
            dialect::run(&tx, dialect::plain(&tx, "DELETE FROM sqlite_sequence WHERE name = 'outbox'", vec![])).await?;
            let text = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', $1)";
            dialect::run(&tx, dialect::plain(&tx, text, vec![base.into()])).await?;
        }
        tx.commit().await?;
    }
    db.history().adopt(&meta::epoch(db.read(Share::Log)).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(id: i64, digit: &str) -> Witness {
        Witness { id, digest: digit.repeat(64) }
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        for kept in [Witness::default(), Witness { id: 17, ..Witness::default() }, witness(17, "a")] {
            assert_eq!(Witness::from_text(&kept.to_text()), Some(kept));
        }
        for text in ["", "17", "17 aa\n", "-1 \n", "x \n", &witness(17, "a").to_text()[..40]] {
            assert_eq!(Witness::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_log_without_the_row_is_of_another_history_unless_its_ids_have_gone_past() {
        let seen = witness(100, "a");
        assert!(seen.is_of(Some(&witness(100, "a")), 100));
        assert!(!seen.is_of(Some(&witness(100, "b")), 100), "another row under its id");
        assert!(!seen.is_of(None, 99), "an older copy");
        assert!(seen.is_of(None, 100), "retention removed it");
        assert!(Witness::default().is_of(None, 0), "nothing was seen");
        let emptied = Witness { id: 100, ..Witness::default() };
        assert!(emptied.is_of(None, 100) && emptied.is_of(None, 105), "ids go on");
        assert!(emptied.is_of(Some(&seen), 100), "a copy that was made before the row was removed");
        assert!(!emptied.is_of(None, 99), "an older copy");
    }

    #[test]
    fn what_was_seen_is_known_after_retention_has_removed_it() {
        let history = History::default();
        history.adopt("one");
        history.note("one", &witness(5, "a"));
        for (older, why) in [(Witness::default(), "nothing"), (witness(3, "b"), "an older row, which a reader needs")] {
            history.note("one", &older);
            assert_eq!(history.newest(), witness(5, "a"), "the log has {why}");
        }
        history.note("one", &Witness { id: 6, ..Witness::default() });
        assert_eq!(history.newest(), witness(5, "a"), "an id that was drawn and not used");
        history.note("zero", &witness(9, "c"));
        assert_eq!(history.newest(), witness(5, "a"), "seen before the epoch changed");
        history.note("one", &witness(6, "b"));
        assert_eq!(history.newest(), witness(6, "b"));
    }

    #[test]
    fn an_epoch_that_was_left_does_not_come_back() {
        let history = History::default();
        history.adopt("one");
        history.note("one", &witness(5, "a"));
        history.adopt("two");
        assert_eq!(history.newest(), Witness::default(), "what was seen belongs to the epoch before");
        history.adopt("one");
        assert_eq!(&*history.epoch(), "two");
    }
}
