//! The task of a backend that maintains the database, such as the checkpoints of SQLite, from its start to its stop.

use crate::app::App;
use crate::backends;
use tokio::sync::oneshot;

/// The running task. Stop it only after the last commit.
pub struct DatabaseMaintenance {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl DatabaseMaintenance {
    /// Starts the task on the runtime of the database. After a panic it starts again.
    pub fn start(app: &App) -> Self {
        let (stop, mut stop_receiver) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let (app, part) = (app.clone(), app.supervision().part("database_maintenance"));
        app.clone().spawn(async move {
            let maintain = async |stop: &mut oneshot::Receiver<()>| {
                let stop = async { drop(stop.await) };
                if let Err(error) = backends::maintain(app.settings(), app.db(), app.supervision(), stop).await {
                    tracing::error!(%error, "the maintenance of the database ended; restart the server");
                }
            };
            while part.catch_panic_and_pause(maintain(&mut stop_receiver)).await.is_err()
                && !stop_receiver.is_terminated()
            {}
            let _ = done.send(());
        });
        Self { stop, stopped }
    }

    /// Stops the task and waits for its end. Call this after the last commit.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.stopped.await;
    }
}
