//! Triggers that make a transaction fail from inside the database: at its so-many-th changed row, whichever table that is
//! in, or at its commit. They count inside the transaction, so that another attempt fails at the same place.

use crate::harness::Inside;

/// Every table that a transaction of the tests changes.
const TABLES: [&str; 5] = ["conversations", "users", "participants", "messages", "outbox"];

/// Puts the triggers in place; nothing fails yet.
pub async fn install(inside: &Inside) {
    // a row of failpoint_child has no parent, which is noticed at the commit
    let tables = "CREATE TABLE failpoint (countdown INTEGER NOT NULL, code TEXT NOT NULL);
         INSERT INTO failpoint VALUES (0, '');
         CREATE TABLE failpoint_parent (id INTEGER PRIMARY KEY);
         CREATE TABLE failpoint_child (
             parent INTEGER REFERENCES failpoint_parent (id) DEFERRABLE INITIALLY DEFERRED
         )";
    inside.run(tables).await;
    if inside.is_postgres() {
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
        inside.run(function).await;
    }
    for table in TABLES {
        for change in ["INSERT", "UPDATE"] {
            let body = if inside.is_postgres() {
                "FOR EACH ROW EXECUTE FUNCTION failpoint()"
            } else {
                "WHEN (SELECT countdown FROM failpoint) <> 0 BEGIN
                     UPDATE failpoint SET countdown = countdown - 1 WHERE countdown > 0;
                     SELECT RAISE(ABORT, 'failpoint') FROM failpoint WHERE countdown = 0;
                     INSERT INTO failpoint_child SELECT 1 FROM failpoint WHERE countdown = -1;
                 END"
            };
            inside.run(&format!("CREATE TRIGGER failpoint_{table}_{change} AFTER {change} ON {table} {body}")).await;
        }
    }
}

/// The so-many-th row that is changed from now on fails, with an SQLSTATE where there are such.
pub async fn at_row(inside: &Inside, row: u32, code: &str) {
    inside.run(&format!("UPDATE failpoint SET countdown = {row}, code = '{code}'")).await;
}

/// The next commit fails.
pub async fn at_commit(inside: &Inside) {
    inside.run("UPDATE failpoint SET countdown = -1").await;
}

/// Nothing fails any more.
pub async fn off(inside: &Inside) {
    inside.run("UPDATE failpoint SET countdown = 0").await;
}
