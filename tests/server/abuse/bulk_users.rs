//! Many users, put into the database at once: registering each would hash a password.

use crate::support::TestServer;

/// Puts in users `pupil1`, `pupil2` … who are called "School 1", "School 2" …, with every word by which a search finds
/// them. The server is stopped meanwhile, because on SQLite the file is locked for seconds.
pub async fn enrol(server: &mut TestServer, pupils: usize) {
    server.halt().await;
    let id = if server.database().url().is_some() { "gen_random_uuid()" } else { "randomblob(16)" };
    server
        .sql(&format!(
            "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {pupils})
             SELECT {id}, 'pupil' || i, 'pupil' || i, 'School ' || i, 'pupil' || i || ' school ' || i, 1, 1 FROM n"
        ))
        .await;
    // each word, and what of it has three letters and more behind its first
    server
        .sql(
            "INSERT INTO user_words (inside, word, user_id)
             WITH RECURSIVE place(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM place WHERE at < 10),
             pupil AS (SELECT id, username, substr(display_name, 8) AS number FROM users WHERE username LIKE 'pupil%'),
             named(id, word) AS (
                 SELECT id, username FROM pupil UNION ALL SELECT id, number FROM pupil UNION ALL SELECT id, 'school' FROM pupil
             )
             SELECT DISTINCT CASE WHEN at = 1 THEN 0 ELSE 1 END, substr(word, at), id FROM named CROSS JOIN place
             WHERE at = 1 OR length(word) - at >= 2 ORDER BY 1, 2, 3",
        )
        .await;
    // PostgreSQL would do so by itself before long; nobody does on SQLite
    if server.database().url().is_some() {
        server.sql("ANALYZE").await;
    }
    server.restart().await;
}
