//! Plans of a database without statistics. A server keeps the plans of its statements, so those that it makes while the
//! tables are small must be good when they are large.

use super::plan_check::filtered_tables;
use crate::harness::{TestApp, TestSend, on_postgres};
use sea_orm::Statement;
use std::sync::{Arc, Mutex};

#[test]
fn the_statements_of_a_send_find_messages_by_index_alone() {
    on_postgres(&async |test: &TestApp| {
        let users = test.users(2).await;
        let group = test.group(&users).await;
        let recorded: Arc<Mutex<Vec<Statement>>> = Arc::default();
        let statements = recorded.clone();
        test.app.db().observe(move |statement, _| statements.lock().unwrap().push(statement.clone()));
        let first = test.send(TestSend::new(group, &users[0], "hello").with_temp_id("a temp_id")).await.unwrap();
        let answer = TestSend::new(group, &users[1], "an answer");
        test.send(TestSend { reply_to: Some(first.message.id), ..answer }).await.unwrap();
        test.wait_for_transactions().await;
        let recorded = std::mem::take(&mut *recorded.lock().unwrap());
        assert!(recorded.iter().any(|statement| statement.sql.contains("body_hash")), "repeated sends are looked up");
        let (conn, mut faults) = (test.connection().await, Vec::new());
        for statement in recorded.iter().filter(|statement| !statement.sql.starts_with("SET LOCAL")) {
            faults.extend(filtered_tables(&conn, statement).await);
        }
        assert_eq!(faults, [""; 0]);
    });
}
