//! What is committed reaches every node, in whatever order transactions draw their ids and end. Here another writer to
//! the same PostgreSQL is played by statements, so that their order is certain; it appends events as a node does.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use tokio::time::Duration;

use crate::support::cluster::{self, Cluster};
use crate::support::database::runs_on_postgres;
use crate::support::{TestServer, TestSocket};

/// The first half of an append: the stream's lock, with which a transaction gets its xid.
fn lock(room: &str) -> String {
    format!("UPDATE conversations SET last_rev = last_rev + 1 WHERE id = '{room}'")
}

/// The second half: the row, with which it draws an id.
fn append(room: &str) -> String {
    format!(
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 0, id, last_rev, 'conversation.updated', json_build_object('type', 'conversation.updated', 'stream',
                'conversation', 'rev', last_rev, 'payload', json_build_object('conversation_id', id))::text,
                (extract(epoch FROM now()) * 1000)::bigint
         FROM conversations WHERE id = '{room}'"
    )
}

fn both(room: &str) -> String {
    format!("{}; {}", lock(room), append(room))
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Waits for the next event of a conversation that another writer appended.
async fn hears(socket: &mut TestSocket, room: &str) {
    let of = |frame: &serde_json::Value| {
        frame["type"] == "conversation.updated" && frame["payload"]["conversation_id"] == room
    };
    socket.wait_for("the other writer's event", of).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_older_transaction_draws_the_greater_id_and_commits_first() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough").start().await;
    let other = TestServer::builder()
        .on(one.database())
        .set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough")
        .start()
        .await;
    let alice = one.user("alice").await;
    let (slow, quick) = (alice.group("slow", &[]).await, alice.group("quick", &[]).await);
    let mut sockets = vec![alice.connect().await, alice.on(&other).connect().await];
    let url = one.database().url().unwrap();
    let (idle, older, younger) = (connect(&url).await, connect(&url).await, connect(&url).await);
    let again = connect(&url).await;

    // the relays write nothing meanwhile: their transactions would end between the two and hide the order of these
    let idle = idle.begin().await.unwrap();
    idle.execute_unprepared("LOCK TABLE readers IN EXCLUSIVE MODE").await.unwrap();
    again.execute_unprepared(&both(&quick)).await.unwrap();
    for socket in &mut sockets {
        hears(socket, &quick).await;
    }
    let older = older.begin().await.unwrap();
    older.execute_unprepared(&lock(&quick)).await.unwrap();
    let younger = younger.begin().await.unwrap();
    younger.execute_unprepared(&both(&slow)).await.unwrap();
    older.execute_unprepared(&append(&quick)).await.unwrap();
    older.commit().await.unwrap();
    for socket in &mut sockets {
        hears(socket, &quick).await;
    }
    // a look at the log after each of these, and a transaction that ends before each
    for _ in 0..3 {
        again.execute_unprepared(&both(&quick)).await.unwrap();
        for socket in &mut sockets {
            hears(socket, &quick).await;
        }
    }
    younger.commit().await.unwrap();
    for socket in &mut sockets {
        hears(socket, &slow).await;
    }
    idle.rollback().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_node_that_starts_hears_of_what_was_under_way_before() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough").start().await;
    let alice = one.user("alice").await;
    let room = alice.group("room", &[]).await;
    let url = one.database().url().unwrap();
    let under_way = connect(&url).await.begin().await.unwrap();
    under_way.execute_unprepared(&both(&room)).await.unwrap();
    alice.group("greater ids", &[]).await;
    let other = TestServer::builder()
        .on(one.database())
        .set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough")
        .start()
        .await;
    let mut socket = alice.on(&other).connect().await;
    under_way.commit().await.unwrap();
    hears(&mut socket, &room).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_long_transaction_elsewhere_holds_nothing_up() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let url = server.database().url().unwrap();
    let elsewhere = connect(&url).await.begin().await.unwrap();
    elsewhere.execute_unprepared("CREATE TABLE long_work (number int)").await.unwrap();
    let again = connect(&url).await;
    let mut socket = alice.connect().await;
    for _ in 0..4 {
        again.execute_unprepared(&both(&room)).await.unwrap();
        hears(&mut socket, &room).await;
    }
    elsewhere.rollback().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_log_that_does_not_draw_its_ids_one_by_one_is_refused() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let server = TestServer::start().await;
    server.sql("ALTER TABLE outbox ALTER COLUMN id SET CACHE 20").await;
    let refused = server.run(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("SET CACHE 1"), "{refused:?}");
    server.sql("ALTER TABLE outbox ALTER COLUMN id SET CACHE 1").await;
}

/// Longer than a minute, after which a reader once took every transaction for ended.
#[tokio::test]
#[ignore = "long: needs PostgreSQL, waits for more than a minute"]
async fn long_a_commit_that_waits_for_a_standby_is_not_skipped() {
    let place = cluster::cluster_folder();
    let cluster = Cluster::start(place.path(), &[]);
    let admin = connect(&cluster.url("postgres")).await;
    admin.execute_unprepared("CREATE DATABASE greenroom").await.unwrap();
    let url = cluster.url("greenroom");
    let server = TestServer::builder().set("DATABASE_URL", &url).set("GREENROOM_AUTO_MIGRATE", "true").start().await;
    let alice = server.user("alice").await;
    let (slow, quick) = (alice.group("slow", &[]).await, alice.group("quick", &[]).await);
    let mut socket = alice.connect().await;

    admin.execute_unprepared("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    let waiting = connect(&url).await;
    let (room, local) = (slow.clone(), connect(&url).await);
    let waiting = tokio::spawn(async move {
        waiting.execute_unprepared(&both(&room)).await.unwrap();
    });
    let query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%outbox%'";
    crate::support::eventually("a commit waits for the standby", async || {
        let rows = admin.query_all_raw(sea_orm::Statement::from_string(admin.get_database_backend(), query)).await;
        !rows.unwrap().is_empty()
    })
    .await;
    // others go on without waiting for a standby, with greater ids
    local.execute_unprepared("SET synchronous_commit = local").await.unwrap();
    for _ in 0..24 {
        local.execute_unprepared(&both(&quick)).await.unwrap();
        hears(&mut socket, &quick).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert!(!waiting.is_finished(), "the commit still waits");
    admin.execute_unprepared("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    waiting.await.unwrap();
    hears(&mut socket, &slow).await;
    // and nothing is stuck
    local.execute_unprepared(&both(&quick)).await.unwrap();
    hears(&mut socket, &quick).await;
    alice.send(&slow, "hello").await;
    socket.expect("message.new").await;
}
