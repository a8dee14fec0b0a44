//! The authorisation table: every route of the server, and the answer for each kind of caller.
//! `tests/server/authorization` compares it with a real server, and other tests take their calls from here, so that a
//! new route needs only one row.
//!
//! A row is a method, a path, a body if the call has one, and a cell for each of [`CALLERS`]. `{id:room}` and `"$room"`
//! contain names, which a test replaces by ids and texts of its own. A cell is the status of a successful call, or:
//!
//! | cell | answer |
//! |---|---|
//! | `401` | 401 `unauthorized` |
//! | `404` | 404 `not_found` |
//! | `bad` | 400 `invalid_request` |
//! | `cred` | 401 `invalid_credentials` |
//! | `sus` | 403 `suspended` |
//! | `out` | 403 `not_a_participant` |
//! | `no` | 403 `forbidden` |
//! | another word | that code, with its status |

use greenroom::http::routes;

/// The callers: a client without a token, a user who never was in the room, a user who left it, a suspended
/// participant, and a participant of each role.
pub const CALLERS: [&str; 8] =
    ["no-token", "non-member", "ex-member", "suspended", "member", "observer", "admin", "owner"];

/// In the room, `target` is another member, `second-admin` another admin, `theirs` a message of the target and `mine` a
/// message of the caller. `guest`, `peer` and `spammer` are users who are not in it. Rows of one route run in this
/// order.
pub const TABLE: &str = r#"
                                                                                   no-tok non- ex-m susp memb obse admi owne
POST   /auth/register {"username":"$fresh","password":"$password"}                 201    201  201  201  201  201  201  201
POST   /auth/login {"login":"$me","password":"$password"}                          cred   200  200  sus  200  200  200  200
POST   /auth/refresh {"refresh_token":"$refresh"}                                  401    200  200  sus  200  200  200  200
POST   /auth/logout                                                                401    204  204  sus  204  204  204  204
GET    /auth/sessions                                                              401    200  200  sus  200  200  200  200
DELETE /auth/sessions/{id:login}                                                   401    204  204  sus  204  204  204  204
DELETE /auth/sessions/{id:foreign}                                                 401    404  404  sus  404  404  404  404
POST   /ws/ticket                                                                  401    200  200  sus  200  200  200  200

GET    /users/me                                                                   401    200  200  sus  200  200  200  200
PATCH  /users/me {"display_name":"Renamed"}                                        401    200  200  sus  200  200  200  200
PUT    /users/me/password {"current_password":"$password","new_password":"$password"}  401 204 204 sus 204 204  204  204
GET    /users/search?q=targ                                                        401    200  200  sus  200  200  200  200
POST   /users/presence {"user_ids":["$target_id"]}                                 401    200  200  sus  200  200  200  200
GET    /users/{ref:target}                                                         401    200  200  sus  200  200  200  200

POST   /blocks {"user":"$spammer"}                                                 401    201  201  sus  201  201  201  201
GET    /blocks                                                                     401    200  200  sus  200  200  200  200
GET    /blocks/{ref:spammer}/status                                                401    200  200  sus  200  200  200  200
DELETE /blocks/{ref:spammer}                                                       401    204  204  sus  204  204  204  204

POST   /conversations {"type":"group","name":"Room","participant_ids":["$target"]} 401    201  201  sus  201  201  201  201
POST   /conversations {"type":"group","name":"Own","participant_ids":[],"temp_id":"a"}  401 201 201  sus  201  201  201  201
POST   /conversations {"type":"group","name":"Own","participant_ids":[],"temp_id":"a"}  401 200 200  sus  200  200  200  200
POST   /conversations/with/{ref:peer}                                              401    201  201  sus  201  201  201  201
GET    /conversations/with/{ref:peer}                                              401    200  200  sus  200  200  200  200
POST   /conversations {"type":"direct","participant_ids":["$peer"]}                401    200  200  sus  200  200  200  200
GET    /conversations                                                              401    200  200  sus  200  200  200  200
GET    /conversations?type=group&archived=false&unread=true                        401    200  200  sus  200  200  200  200
GET    /conversations/unread-count                                                 401    200  200  sus  200  200  200  200
GET    /conversations/stats                                                        401    200  200  sus  200  200  200  200
GET    /conversations/{id:room}                                                    401    out  out  sus  200  200  200  200
PATCH  /conversations/{id:room} {"name":"Renamed"}                                 401    out  out  sus  no   no   200  200
PUT    /conversations/{id:room} {"description":"Described"}                        401    out  out  sus  no   no   200  200
DELETE /conversations/{id:room}                                                    401    out  out  sus  204  204  204  204
POST   /conversations/{id:room}/archive                                            401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/archive                                            401    out  out  sus  204  204  204  204
POST   /conversations/{id:room}/mute {"until":"2100-01-01T00:00:00.000Z"}          401    out  out  sus  200  200  200  200
POST   /conversations/{id:room}/mute {"seconds":3600}                              401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/mute                                               401    out  out  sus  204  204  204  204
POST   /conversations/{id:room}/pin                                                401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/pin                                                401    out  out  sus  204  204  204  204
PUT    /conversations/{id:room}/notify {"level":"mentions"}                        401    out  out  sus  200  200  200  200
POST   /conversations/{id:room}/read {"seq":1}                                     401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/online                                             401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/typing                                             401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/stats                                              401    out  out  sus  200  200  200  200

GET    /conversations/{id:room}/members                                            401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/members/{ref:target}                               401    out  out  sus  200  200  200  200
POST   /conversations/{id:room}/members {"user_ids":["$guest"]}                    401    out  out  sus  no   no   200  200
POST   /conversations/{id:room}/members {"user_ids":["$guest"],"role":"observer"}  401    out  out  sus  no   no   200  200
POST   /conversations/{id:room}/members {"user_ids":["$guest"],"role":"admin"}     401    out  out  sus  no   no   no   200
POST   /conversations/{id:room}/members {"user_ids":["$me"]}                       401    out  out  sus  no   no   200  200
DELETE /conversations/{id:room}/members/{ref:me}                                   401    out  out  sus  204  204  204  204
DELETE /conversations/{id:room}/members/{ref:target}                               401    out  out  sus  no   no   204  204
DELETE /conversations/{id:room}/members/{ref:second-admin}                         401    out  out  sus  no   no   no   204
DELETE /conversations/{id:room}/members/{ref:owner}                                401    out  out  sus  no   no   no   204
DELETE /conversations/{id:room}/members/{ref:guest}                                401    out  out  sus  no   no   204  204
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"observer"}      401    out  out  sus  no   no   200  200
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"admin"}         401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"owner"}         401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:second-admin}/role {"role":"member"}  401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"member"}            401    out  out  sus  200  no   200  no
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"observer"}          401    out  out  sus  200  200  200  no
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"admin"}             401    out  out  sus  no   no   200  no
PUT    /conversations/{id:room}/members/{ref:guest}/role {"role":"member"}         401    out  out  sus  no   no   404  404

POST   /conversations/{id:room}/messages {"content":"hello"}                       401    out  out  sus  201  no   201  201
GET    /conversations/{id:room}/messages                                           401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?around=2&limit=3                          401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?before=3                                  401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?after=3                                   401    out  out  sus  200  200  200  200
GET    /messages/{id:theirs}                                                       401    out  out  sus  200  200  200  200
GET    /messages/{id:theirs}/context                                               401    out  out  sus  200  200  200  200
PATCH  /conversations/{id:room}/messages/{mid:mine} {"content":"better"}           401    out  out  sus  200  no   200  200
PATCH  /conversations/{id:room}/messages/{mid:theirs} {"content":"better"}         401    out  out  sus  no   no   no   no
PUT    /conversations/{id:room}/messages/{mid:mine} {"content":"better"}           401    out  out  sus  200  no   200  200
PUT    /conversations/{id:room}/messages/{mid:theirs} {"content":"better"}         401    out  out  sus  no   no   no   no
DELETE /conversations/{id:room}/messages/{mid:mine}?for=everyone                   401    out  out  sus  204  204  204  204
DELETE /conversations/{id:room}/messages/{mid:theirs}?for=everyone                 401    out  out  sus  no   no   204  204
DELETE /conversations/{id:room}/messages/{mid:theirs}?for=me                       401    out  out  sus  204  204  204  204
GET    /conversations/{id:room}/messages/{mid:theirs}/history                      401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages/{mid:theirs}/receipts                     401    out  out  sus  200  200  200  200
PUT    /conversations/{id:room}/messages/{mid:theirs}/reactions/{emoji:thumb}      401    out  out  sus  200  no   200  200
GET    /conversations/{id:room}/messages/{mid:theirs}/reactions                    401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/messages/{mid:theirs}/reactions/{emoji:thumb}      401    out  out  sus  204  no   204  204
PUT    /conversations/{id:room}/messages/{mid:theirs}/pin                          401    out  out  sus  no   no   200  200
GET    /conversations/{id:room}/pins                                               401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/messages/{mid:theirs}/pin                          401    out  out  sus  no   no   204  204

GET    /openapi.json                                                               200    200  200  200  200  200  200  200
GET    /ws                                                                         bad    bad  bad  bad  bad  bad  bad  bad
GET    /health                                                                     200    200  200  200  200  200  200  200
GET    /health/live                                                                200    200  200  200  200  200  200  200
GET    /health/ready                                                               200    200  200  200  200  200  200  200
"#;

/// The callers of a direct conversation: a client without a token, a user who is not in it, a participant, a
/// participant whom the peer has blocked, and one who has blocked the peer.
pub const DIRECT_CALLERS: [&str; 5] = ["no-token", "non-member", "member", "blocked", "blocker"];

/// The answers of a direct conversation, where they differ from those of a group: `target` is the peer, `theirs` a
/// message of the peer and `mine` a message of the caller.
pub const DIRECT: &str = r#"
                                                                                   no-tok non-m    member blocked blocker
POST   /conversations {"type":"direct","participant_ids":["$target"]}              401    201      200    200     200
POST   /conversations/with/{ref:target}                                            401    200      200    200     200
GET    /conversations/with/{ref:target}                                            401    200      200    200     200
GET    /conversations/{id:room}                                                    401    out      200    200     200
PATCH  /conversations/{id:room} {"name":"Renamed"}                                 401    out      conflict conflict conflict
DELETE /conversations/{id:room}                                                    401    out      cannot_leave_direct cannot_leave_direct cannot_leave_direct
POST   /conversations/{id:room}/members {"user_ids":["$guest"]}                    401    out      conflict conflict conflict
DELETE /conversations/{id:room}/members/{ref:target}                               401    out      cannot_leave_direct cannot_leave_direct cannot_leave_direct
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"admin"}         401    out      conflict conflict conflict
POST   /conversations/{id:room}/messages {"content":"hello"}                       401    out      201    blocked blocked
GET    /conversations/{id:room}/messages                                           401    out      200    200     200
POST   /conversations/{id:room}/read {"seq":1}                                     401    out      200    200     200
PATCH  /conversations/{id:room}/messages/{mid:mine} {"content":"better"}           401    out      200    blocked blocked
DELETE /conversations/{id:room}/messages/{mid:theirs}?for=everyone                 401    out      no     no      no
DELETE /conversations/{id:room}/messages/{mid:mine}?for=everyone                   401    out      204    204     204
PUT    /conversations/{id:room}/messages/{mid:theirs}/reactions/{emoji:thumb}      401    out      200    blocked blocked
PUT    /conversations/{id:room}/messages/{mid:theirs}/pin                          401    out      200    blocked blocked
DELETE /conversations/{id:room}/messages/{mid:theirs}/pin                          401    out      204    blocked blocked
GET    /conversations/{id:room}/online                                             401    out      200    200     200
GET    /conversations/{id:room}/typing                                             401    out      200    200     200
"#;

/// One row of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The HTTP method, for example GET.
    pub method: String,
    /// The path with its query, and with names instead of ids.
    pub path: String,
    /// The body, if the call has one, with names instead of ids.
    pub body: Option<String>,
    /// The answer that each caller gets.
    pub cells: Vec<String>,
}

impl Row {
    /// Returns the route that this row calls, as the list of routes writes it: `GET /conversations/{id}`.
    pub fn route(&self) -> String {
        let mut path = self.path.split('?').next().unwrap_or_default().to_owned();
        while let Some((before, rest)) = path.split_once(':') {
            let (_, after) = rest.split_once('}').expect("a name ends with a brace");
            path = format!("{before}}}{after}");
        }
        format!("{} {path}", self.method)
    }

    /// Returns the path, in which each name is replaced by the text that `named` returns for it.
    pub fn path(&self, named: impl Fn(&str) -> String) -> String {
        let mut path = String::new();
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a name ends with a brace");
            let (_, name) = name.split_once(':').expect("a parameter has a name");
            path = path + before + &named(name);
            rest = after;
        }
        path + rest
    }

    /// Returns the body, in which each name is replaced by the text that `named` returns for it.
    pub fn body(&self, named: impl Fn(&str) -> String) -> Option<String> {
        let text = self.body.as_ref()?;
        let mut body = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            let end = after.find('"').expect("a name ends with its string");
            body = body + before + &named(&after[..end]);
            rest = &after[end..];
        }
        Some(body + rest)
    }
}

/// Returns the rows of a table that has a cell for each of this many callers.
pub fn rows(table: &str, callers: usize) -> Vec<Row> {
    let lines = table.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let body = words.len() - callers;
            assert!(body == 2 || body == 3, "a row has a method, a path, perhaps a body, and {callers} cells: {line}");
            Row {
                method: words[0].to_owned(),
                path: words[1].to_owned(),
                body: (body == 3).then(|| words[2].to_owned()),
                cells: words[body..].iter().map(|&cell| cell.to_owned()).collect(),
            }
        })
        .collect()
}

/// Returns every route below `/api/v1`, as [`Row::route`] writes it.
pub fn routes() -> Vec<String> {
    let known = routes::ROUTES.iter().chain(routes::SHARED_ROUTES.iter());
    known.map(|route| format!("{} {}", route.method, route.path)).collect()
}
