//! Committed events reach every node, in whatever order transactions get their log ids and end. The tests append events
//! with SQL statements, as another node would, so that the order is certain.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use tokio::time::Duration;

use crate::support::cluster::{self, Cluster};
use crate::support::database::runs_on_postgres;
use crate::support::{TestServer, TestSocket};

/// Returns the first half of an append: it locks the stream, and with the lock the transaction gets its xid.
fn lock(room: &str) -> String {
    format!("UPDATE conversations SET last_rev = last_rev + 1 WHERE id = '{room}'")
}

/// Returns the second half of an append: it inserts the log row, and with the row the transaction gets a log id.
fn append(room: &str) -> String {
    format!(
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 0, id, last_rev, 'conversation.updated', json_build_object('type', 'conversation.updated', 'stream',
                'conversation', 'rev', last_rev, 'payload', json_build_object('conversation_id', id))::text,
                (extract(epoch FROM now()) * 1000)::bigint
         FROM conversations WHERE id = '{room}'"
    )
}

fn lock_and_append(room: &str) -> String {
    format!("{}; {}", lock(room), append(room))
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// Waits for the next event that these statements appended to a conversation.
async fn expect_update(socket: &mut TestSocket, room: &str) {
    let wanted = |frame: &serde_json::Value| {
        frame["type"] == "conversation.updated" && frame["payload"]["conversation_id"] == room
    };
    socket.wait_for("the appended event", wanted).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn events_arrive_when_the_older_transaction_gets_the_greater_id_and_commits_first() {
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
    let (relay_lock, older, younger) = (connect(&url).await, connect(&url).await, connect(&url).await);
    let writer = connect(&url).await;

    // This lock stops the writes of the relays. A transaction of theirs that ends between the two would hide the order.
    let relay_lock = relay_lock.begin().await.unwrap();
    relay_lock.execute_unprepared("LOCK TABLE readers IN EXCLUSIVE MODE").await.unwrap();
    writer.execute_unprepared(&lock_and_append(&quick)).await.unwrap();
    for socket in &mut sockets {
        expect_update(socket, &quick).await;
    }
    let older = older.begin().await.unwrap();
    older.execute_unprepared(&lock(&quick)).await.unwrap();
    let younger = younger.begin().await.unwrap();
    younger.execute_unprepared(&lock_and_append(&slow)).await.unwrap();
    older.execute_unprepared(&append(&quick)).await.unwrap();
    older.commit().await.unwrap();
    for socket in &mut sockets {
        expect_update(socket, &quick).await;
    }
    // Each of these transactions ends before the nodes read the log again, while `younger` is still open.
    for _ in 0..3 {
        writer.execute_unprepared(&lock_and_append(&quick)).await.unwrap();
        for socket in &mut sockets {
            expect_update(socket, &quick).await;
        }
    }
    younger.commit().await.unwrap();
    for socket in &mut sockets {
        expect_update(socket, &slow).await;
    }
    relay_lock.rollback().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_node_gets_the_event_of_a_transaction_that_was_open_at_its_start() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let one = TestServer::builder().set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough").start().await;
    let alice = one.user("alice").await;
    let room = alice.group("room", &[]).await;
    let url = one.database().url().unwrap();
    let open = connect(&url).await.begin().await.unwrap();
    open.execute_unprepared(&lock_and_append(&room)).await.unwrap();
    alice.group("greater ids", &[]).await;
    let other = TestServer::builder()
        .on(one.database())
        .set("GREENROOM_JWT_SECRET", "one secret for both nodes, long enough")
        .start()
        .await;
    let mut socket = alice.on(&other).connect().await;
    open.commit().await.unwrap();
    expect_update(&mut socket, &room).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_long_transaction_without_events_does_not_delay_the_catch_up() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let url = server.database().url().unwrap();
    let long_transaction = connect(&url).await.begin().await.unwrap();
    long_transaction.execute_unprepared("CREATE TABLE long_work (number int)").await.unwrap();
    let writer = connect(&url).await;
    let mut socket = alice.connect().await;
    for _ in 0..4 {
        writer.execute_unprepared(&lock_and_append(&room)).await.unwrap();
        expect_update(&mut socket, &room).await;
    }
    long_transaction.rollback().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_log_whose_sequence_caches_ids_is_refused() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let server = TestServer::start().await;
    server.sql("ALTER TABLE outbox ALTER COLUMN id SET CACHE 20").await;
    let refused = server.run(&["serve"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("SET CACHE 1"), "{refused:?}");
    server.sql("ALTER TABLE outbox ALTER COLUMN id SET CACHE 1").await;
}

/// The commit waits for more than a minute: no reader may regard a transaction as ended because of its age.
#[tokio::test]
#[ignore = "long: needs PostgreSQL, waits for more than a minute"]
async fn long_a_commit_that_waits_for_a_standby_is_not_skipped() {
    let folder = cluster::cluster_folder();
    let cluster = Cluster::start(folder.path(), &[]);
    let admin = connect(&cluster.url("postgres")).await;
    admin.execute_unprepared("CREATE DATABASE greenroom").await.unwrap();
    let url = cluster.url("greenroom");
    let server = TestServer::builder().set("DATABASE_URL", &url).set("GREENROOM_AUTO_MIGRATE", "true").start().await;
    let alice = server.user("alice").await;
    let (slow, quick) = (alice.group("slow", &[]).await, alice.group("quick", &[]).await);
    let mut socket = alice.connect().await;

    admin.execute_unprepared("ALTER SYSTEM SET synchronous_standby_names = 'missing'").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    let waiting = connect(&url).await;
    let (room, local) = (slow.clone(), connect(&url).await);
    let waiting = tokio::spawn(async move {
        waiting.execute_unprepared(&lock_and_append(&room)).await.unwrap();
    });
    let query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%outbox%'";
    crate::support::eventually("a commit waits for the standby", async || {
        let rows = admin.query_all_raw(sea_orm::Statement::from_string(admin.get_database_backend(), query)).await;
        !rows.unwrap().is_empty()
    })
    .await;
    // Other transactions do not wait for a standby, and they get greater log ids.
    local.execute_unprepared("SET synchronous_commit = local").await.unwrap();
    for _ in 0..24 {
        local.execute_unprepared(&lock_and_append(&quick)).await.unwrap();
        expect_update(&mut socket, &quick).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    assert!(!waiting.is_finished(), "the commit still waits");
    admin.execute_unprepared("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    waiting.await.unwrap();
    expect_update(&mut socket, &slow).await;
    // Later events arrive too.
    local.execute_unprepared(&lock_and_append(&quick)).await.unwrap();
    expect_update(&mut socket, &quick).await;
    alice.send(&slow, "hello").await;
    socket.expect("message.new").await;
}

/// Returns the statements that append a message of `sender` to the log of a conversation. The statistics count it.
fn append_message(room: &str, sender: &str) -> String {
    format!(
        "{};
         INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 0, id, last_rev, 'message.new', json_build_object('type', 'message.new', 'stream', 'conversation',
                'rev', last_rev, 'payload', json_build_object('conversation_id', id, 'message', json_build_object(
                    'id', gen_random_uuid(), 'seq', 1, 'sender_id', '{sender}', 'content', 'hello',
                    'created_at', '2026-01-01T00:00:00.000Z')))::text,
                (extract(epoch FROM now()) * 1000)::bigint
         FROM conversations WHERE id = '{room}'",
        lock(room)
    )
}

async fn get_number(db: &DatabaseConnection, query: &str) -> i64 {
    let statement = sea_orm::Statement::from_string(db.get_database_backend(), query);
    let row = db.query_one_raw(statement).await.unwrap().expect("a row");
    row.try_get("", "number").unwrap()
}

/// The commit waits for more than a minute, longer than any deadline of the server. Meanwhile only the commits of the
/// test wait for the standby, so that the reader itself could go on.
#[tokio::test]
#[ignore = "long: needs PostgreSQL, waits for more than a minute"]
async fn long_a_reader_waits_for_a_commit_that_waits_for_a_standby() {
    let folder = cluster::cluster_folder();
    let cluster = Cluster::start(folder.path(), &[]);
    let admin = connect(&cluster.url("postgres")).await;
    admin.execute_unprepared("CREATE DATABASE greenroom").await.unwrap();
    admin.execute_unprepared("ALTER DATABASE greenroom SET synchronous_commit = local").await.unwrap();
    let url = cluster.url("greenroom");
    let server = TestServer::builder().set("DATABASE_URL", &url).set("GREENROOM_AUTO_MIGRATE", "true").start().await;
    let alice = server.user("alice").await;
    let (slow, quick) = (alice.group("slow", &[]).await, alice.group("quick", &[]).await);
    let local = connect(&url).await;
    let cursor = "SELECT cursor AS number FROM readers WHERE name = 'statistics'";
    let newest = "SELECT max(id) AS number FROM outbox";
    crate::support::eventually("everything is counted", async || {
        get_number(&local, cursor).await == get_number(&local, newest).await
    })
    .await;
    let before = get_number(&local, cursor).await;

    admin.execute_unprepared("ALTER SYSTEM SET synchronous_standby_names = 'missing'").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    let waiting = connect(&url).await;
    let text = format!("SET synchronous_commit = on; {}", append_message(&slow, &alice.id));
    let waiting = tokio::spawn(async move { waiting.execute_unprepared(&text).await.unwrap() });
    let query = "SELECT count(*) AS number FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    crate::support::eventually("the commit waits for the standby", async || get_number(&admin, query).await > 0).await;
    for _ in 0..24 {
        local.execute_unprepared(&append_message(&quick, &alice.id)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(get_number(&local, cursor).await, before, "the reader skipped the row that is not visible yet");
    }
    assert!(!waiting.is_finished(), "the commit still waits");
    admin.execute_unprepared("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    waiting.await.unwrap();
    for (room, messages) in [(&slow, 1), (&quick, 24)] {
        let stats = format!("/conversations/{room}/stats");
        crate::support::eventually("the messages are counted", async || {
            alice.get(&stats).await.expect(200)["messages"] == messages
        })
        .await;
    }
    alice.send(&slow, "hello").await;
    let stats = format!("/conversations/{slow}/stats");
    crate::support::eventually("the reader continues", async || alice.get(&stats).await.expect(200)["messages"] == 2)
        .await;
}

/// Readers count a message within a second, also if a transaction in another database holds the oldest transaction id
/// of the PostgreSQL server.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_long_transaction_in_another_database_does_not_delay_the_catch_up_and_the_readers() {
    assert!(runs_on_postgres(), "this test needs GREENROOM_TEST_DATABASE=postgres");
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let room = alice.group("room", &[]).await;
    let admin_url = std::env::var("GREENROOM_TEST_POSTGRES").expect("a PostgreSQL server");
    let long_transaction = connect(&admin_url).await.begin().await.unwrap();
    long_transaction.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
    let writer = connect(&server.database().url().unwrap()).await;
    let mut socket = alice.connect().await;
    let stats = format!("/conversations/{room}/stats");
    for messages in 1..=4 {
        writer.execute_unprepared(&lock_and_append(&room)).await.unwrap();
        expect_update(&mut socket, &room).await;
        alice.send(&room, "hello").await;
        crate::support::eventually("the message is counted", async || {
            alice.get(&stats).await.expect(200)["messages"] == messages
        })
        .await;
    }
    long_transaction.rollback().await.unwrap();
}
