//! Triggers that make a transaction fail in the database: at the n-th row that it changes in any table, or at its
//! commit. They count within the transaction, so that another attempt fails at the same row.

use crate::harness::TestApp;

/// All tables that the transactions of the tests change.
const TABLES: [&str; 5] = ["conversations", "users", "participants", "messages", "outbox"];

/// Creates the triggers. No statement fails yet.
pub async fn install(test: &TestApp) {
    // A row of failpoint_child has no parent, and the database notices that at the commit.
    let tables = "CREATE TABLE failpoint (countdown INTEGER NOT NULL, code TEXT NOT NULL);
         INSERT INTO failpoint VALUES (0, '');
         CREATE TABLE failpoint_parent (id INTEGER PRIMARY KEY);
         CREATE TABLE failpoint_child (
             parent INTEGER REFERENCES failpoint_parent (id) DEFERRABLE INITIALLY DEFERRED
         )";
    test.run(tables).await;
    if test.is_postgres() {
        let function = "CREATE FUNCTION failpoint() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE point failpoint%ROWTYPE;
             BEGIN
                 SELECT * INTO point FROM failpoint;
                 IF point.countdown = -1 THEN
                     INSERT INTO failpoint_child VALUES (1);
                 ELSIF point.countdown > 0 THEN
                     UPDATE failpoint SET countdown = countdown - 1;
                 END IF;
                 IF point.countdown = 1 THEN
                     RAISE EXCEPTION 'failpoint' USING ERRCODE = point.code;
                 END IF;
                 RETURN NULL;
             END $$";
        test.run(function).await;
    }
    for table in TABLES {
        for change in ["INSERT", "UPDATE"] {
            let body = if test.is_postgres() {
                "FOR EACH ROW EXECUTE FUNCTION failpoint()"
            } else {
                "WHEN (SELECT countdown FROM failpoint) <> 0 BEGIN
                     UPDATE failpoint SET countdown = countdown - 1 WHERE countdown > 0;
                     SELECT RAISE(ABORT, 'failpoint') FROM failpoint WHERE countdown = 0;
                     INSERT INTO failpoint_child SELECT 1 FROM failpoint WHERE countdown = -1;
                 END"
            };
            test.run(&format!("CREATE TRIGGER failpoint_{table}_{change} AFTER {change} ON {table} {body}")).await;
        }
    }
}

/// Makes the n-th row that a transaction changes fail, on PostgreSQL with this SQLSTATE.
pub async fn fail_at_row(test: &TestApp, row: u32, code: &str) {
    test.run(&format!("UPDATE failpoint SET countdown = {row}, code = '{code}'")).await;
}

/// Makes the next commit fail.
pub async fn fail_at_commit(test: &TestApp) {
    test.run("UPDATE failpoint SET countdown = -1").await;
}

/// Ends all failures.
pub async fn stop_failing(test: &TestApp) {
    test.run("UPDATE failpoint SET countdown = 0").await;
}
