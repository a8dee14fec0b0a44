//! Searches for a word in the names of all users delay no other user.

use crate::harness::{TestApp, TestSend, on_each_database};
use greenroom::domain::limits;
use greenroom::store::db::DbState;
use greenroom::usecases::{logins, sessions, users};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of users with the same word in their names.
const USERS: usize = 50_000;
/// The number of messages that other users send during the searches.
const SENDS: usize = 50;

/// Creates users with the names "School 1", "School 2" …, with the columns that a search reads.
async fn fill(test: &TestApp) {
    let id = if test.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    test
        .run(&format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS})
             SELECT {id}, 'pupil' || i, 'pupil' || i, 'School ' || i, 'pupil' || i || ' school ' || i, 1, 1 FROM n;
             INSERT INTO user_words (inside, word, user_id)
             SELECT 0, w.word, u.id FROM users u CROSS JOIN (SELECT 'school' AS word) w WHERE u.display_name LIKE 'School %';
             INSERT INTO user_words (inside, word, user_id)
             SELECT 1, 'chool', id FROM users WHERE display_name LIKE 'School %';
             INSERT INTO user_words (inside, word, user_id)
             SELECT 0, username, id FROM users WHERE display_name LIKE 'School %';"
        ))
        .await;
}

#[test]
fn three_users_who_search_among_50_000_users_delay_no_other_user() {
    on_each_database(&async |test: &TestApp| {
        fill(test).await;
        let [one, two, three, talker, other] = test.users(5).await[..] else { unreachable!() };
        let app = &test.app;
        let group = test.group(&[talker, other]).await;
        let access = logins::issue_tokens(app, talker.user_id, "a test", "127.0.0.1").await.unwrap().access_token;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut searching = Vec::new();
        for caller in [one, two, three, one, two, three] {
            let (app, is_over) = (app.clone(), is_over.clone());
            searching.push(tokio::spawn(async move {
                let mut answer_count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let (found, _) = users::search(&app, caller, "school", None, 100).await.unwrap();
                    assert_eq!(found.len(), 100);
                    answer_count += 1;
                }
                answer_count
            }));
        }
        for number in 0..SENDS {
            test.send(TestSend::new(group, &talker, format!("message {number}"))).await.unwrap();
            let claims = logins::verify_access_token(app, &access).unwrap();
            let caller = logins::authenticate(app, &claims).await.unwrap();
            sessions::read_start(app, &caller, &[group]).await.unwrap();
            assert_eq!(app.db().check().await, DbState::Ok);
        }
        is_over.store(true, Ordering::Relaxed);
        for search in searching {
            assert!(search.await.unwrap() > 0);
        }
    });
}

#[test]
fn a_search_reads_a_thousand_users_and_its_pages_have_no_gap_and_no_repetition() {
    on_each_database(&async |test: &TestApp| {
        fill(test).await;
        let user = test.user().await;
        let (mut found, mut after) = (BTreeSet::new(), None);
        loop {
            let (page, next) = users::search(&test.app, user, "school", after, 100).await.unwrap();
            for user in page {
                assert!(found.insert(user.brief.username.clone()), "{} is found twice", user.brief.username);
            }
            let Some(next) = next else { break };
            after = Some(next);
        }
        assert_eq!(found.len() as u64, limits::SEARCH_CANDIDATES);
        // A second word in the query finds a user who is not among the first thousand.
        let (page, _) = users::search(&test.app, user, "school pupil49999", None, 100).await.unwrap();
        assert_eq!(page.iter().map(|user| user.brief.username.as_str()).collect::<Vec<_>>(), ["pupil49999"]);
    });
}
