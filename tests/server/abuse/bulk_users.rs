//! Many users, inserted into the database directly, because a registration of each user would hash a password.

use crate::support::TestServer;

/// Inserts users `pupil1`, `pupil2` … with the display names "School 1", "School 2" …, and every word by which a search
/// finds them. The server is stopped meanwhile, because on SQLite the file is locked for seconds.
pub async fn insert_users(server: &mut TestServer, count: usize) {
    server.stop_for_restart().await;
    let id = if server.database().url().is_some() { "gen_random_uuid()" } else { "randomblob(16)" };
    server
        .sql(&format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT {id}, 'pupil' || i, 'pupil' || i, 'School ' || i, 'pupil' || i || ' school ' || i, 1, 1 FROM n"
        ))
        .await;
    // A search finds a user by each word and by each end of a word that has at least three letters.
    server
        .sql(
            "INSERT INTO user_words (inside, word, user_id)
             WITH RECURSIVE starts(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM starts WHERE at < 10),
             pupil AS (SELECT id, username, substr(display_name, 8) AS number FROM users WHERE username LIKE 'pupil%'),
             words(id, word) AS (
                 SELECT id, username FROM pupil UNION ALL SELECT id, number FROM pupil
                 UNION ALL SELECT id, 'school' FROM pupil
             )
             SELECT DISTINCT CASE WHEN at = 1 THEN 0 ELSE 1 END, substr(word, at), id FROM words CROSS JOIN starts
             WHERE at = 1 OR length(word) - at >= 2 ORDER BY 1, 2, 3",
        )
        .await;
    // PostgreSQL would analyse the tables by itself, but later. A server on SQLite never does.
    if server.database().url().is_some() {
        server.sql("ANALYZE").await;
    }
    server.restart().await;
}
