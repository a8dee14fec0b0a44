//! The authorisation table: every route of the server, and the answer for each kind of caller.
//! `tests/server/authorization` compares it with a real server, and other tests take their calls from here, so that a
//! new route needs only one row.
//!
//! A row is a method, a path, a body if the call has one, and a cell for each of [`CALLERS`]. `{id:room}` and `"$room"`
//! name things of the fixture. A cell is the status of a successful call, or:
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

/// The callers: without a token, a user who never was in the room, a user who left it, a suspended participant, and the
/// four roles.
pub const CALLERS: [&str; 8] = ["nobody", "stranger", "ex-member", "suspended", "member", "observer", "admin", "owner"];

/// In a room: `target` is another member, `deputy` another admin, `said` a message of the target, `mine` one of the
/// caller's own. Outside: `guest`, `peer` and `foe` are users. Rows of one route are in the order in which they run.
pub const TABLE: &str = r#"
                                                                                   nobody stra ex   susp memb obse admi owne
POST   /auth/register {"username":"$fresh","password":"$password"}                 201    201  201  201  201  201  201  201
POST   /auth/login {"login":"$me","password":"$password"}                          cred   200  200  sus  200  200  200  200
POST   /auth/refresh {"refresh_token":"$refresh"}                                  401    200  200  sus  200  200  200  200
POST   /auth/logout                                                                401    204  204  sus  204  204  204  204
GET    /auth/sessions                                                              401    200  200  sus  200  200  200  200
DELETE /auth/sessions/{id:login}                                                   401    204  204  sus  204  204  204  204
DELETE /auth/sessions/{id:foreign}                                                 401    404  404  sus  404  404  404  404
POST   /ws/ticket                                                                  401    200  200  sus  200  200  200  200

GET    /users/me                                                                   401    200  200  sus  200  200  200  200
PATCH  /users/me {"display_name":"Somebody"}                                       401    200  200  sus  200  200  200  200
PUT    /users/me/password {"current_password":"$password","new_password":"$password"}  401 204 204 sus 204 204  204  204
GET    /users/search?q=targ                                                        401    200  200  sus  200  200  200  200
POST   /users/presence {"user_ids":["$target_id"]}                                 401    200  200  sus  200  200  200  200
GET    /users/{ref:target}                                                         401    200  200  sus  200  200  200  200

POST   /blocks {"user":"$foe"}                                                     401    201  201  sus  201  201  201  201
GET    /blocks                                                                     401    200  200  sus  200  200  200  200
GET    /blocks/{ref:foe}/status                                                    401    200  200  sus  200  200  200  200
DELETE /blocks/{ref:foe}                                                           401    204  204  sus  204  204  204  204

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
DELETE /conversations/{id:room}/members/{ref:deputy}                               401    out  out  sus  no   no   no   204
DELETE /conversations/{id:room}/members/{ref:owner}                                401    out  out  sus  no   no   no   204
DELETE /conversations/{id:room}/members/{ref:guest}                                401    out  out  sus  no   no   204  204
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"observer"}      401    out  out  sus  no   no   200  200
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"admin"}         401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:target}/role {"role":"owner"}         401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:deputy}/role {"role":"member"}        401    out  out  sus  no   no   no   200
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"member"}            401    out  out  sus  200  no   200  no
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"observer"}          401    out  out  sus  200  200  200  no
PUT    /conversations/{id:room}/members/{ref:me}/role {"role":"admin"}             401    out  out  sus  no   no   200  no
PUT    /conversations/{id:room}/members/{ref:guest}/role {"role":"member"}         401    out  out  sus  no   no   404  404

POST   /conversations/{id:room}/messages {"content":"hello"}                       401    out  out  sus  201  no   201  201
GET    /conversations/{id:room}/messages                                           401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?around=2&limit=3                          401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?before=3                                  401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages?after=3                                   401    out  out  sus  200  200  200  200
GET    /messages/{id:said}                                                         401    out  out  sus  200  200  200  200
GET    /messages/{id:said}/context                                                 401    out  out  sus  200  200  200  200
PATCH  /conversations/{id:room}/messages/{mid:mine} {"content":"better"}           401    out  out  sus  200  no   200  200
PATCH  /conversations/{id:room}/messages/{mid:said} {"content":"better"}           401    out  out  sus  no   no   no   no
PUT    /conversations/{id:room}/messages/{mid:mine} {"content":"better"}           401    out  out  sus  200  no   200  200
PUT    /conversations/{id:room}/messages/{mid:said} {"content":"better"}           401    out  out  sus  no   no   no   no
DELETE /conversations/{id:room}/messages/{mid:mine}?for=everyone                   401    out  out  sus  204  204  204  204
DELETE /conversations/{id:room}/messages/{mid:said}?for=everyone                   401    out  out  sus  no   no   204  204
DELETE /conversations/{id:room}/messages/{mid:said}?for=me                         401    out  out  sus  204  204  204  204
GET    /conversations/{id:room}/messages/{mid:said}/history                        401    out  out  sus  200  200  200  200
GET    /conversations/{id:room}/messages/{mid:said}/receipts                       401    out  out  sus  200  200  200  200
PUT    /conversations/{id:room}/messages/{mid:said}/reactions/{emoji:thumb}        401    out  out  sus  200  no   200  200
GET    /conversations/{id:room}/messages/{mid:said}/reactions                      401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/messages/{mid:said}/reactions/{emoji:thumb}        401    out  out  sus  204  no   204  204
PUT    /conversations/{id:room}/messages/{mid:said}/pin                            401    out  out  sus  no   no   200  200
GET    /conversations/{id:room}/pins                                               401    out  out  sus  200  200  200  200
DELETE /conversations/{id:room}/messages/{mid:said}/pin                            401    out  out  sus  no   no   204  204

GET    /openapi.json                                                               200    200  200  200  200  200  200  200
GET    /ws                                                                         bad    bad  bad  bad  bad  bad  bad  bad
GET    /health                                                                     200    200  200  200  200  200  200  200
GET    /health/live                                                                200    200  200  200  200  200  200  200
GET    /health/ready                                                               200    200  200  200  200  200  200  200
"#;

/// In a direct conversation, where it differs: without a token, a user who is not in it, a participant, one whom
/// the other has blocked, and one who has blocked the other.
pub const DIRECT_CALLERS: [&str; 5] = ["nobody", "stranger", "member", "blocked", "blocker"];

/// In a direct conversation: `target` is the other, `said` a message of theirs, `mine` one of the caller's own.
pub const DIRECT: &str = r#"
                                                                                   nobody stranger member blocked blocker
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
DELETE /conversations/{id:room}/messages/{mid:said}?for=everyone                   401    out      no     no      no
DELETE /conversations/{id:room}/messages/{mid:mine}?for=everyone                   401    out      204    204     204
PUT    /conversations/{id:room}/messages/{mid:said}/reactions/{emoji:thumb}        401    out      200    blocked blocked
PUT    /conversations/{id:room}/messages/{mid:said}/pin                            401    out      200    blocked blocked
DELETE /conversations/{id:room}/messages/{mid:said}/pin                            401    out      204    blocked blocked
GET    /conversations/{id:room}/online                                             401    out      200    200     200
GET    /conversations/{id:room}/typing                                             401    out      200    200     200
"#;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// GET and so on.
    pub method: String,
    /// The path with its query, and names in the place of ids.
    pub path: String,
    /// The body, if the call has one, with names in the place of ids.
    pub body: Option<String>,
    /// What each caller gets.
    pub cells: Vec<String>,
}

impl Row {
    /// The route it calls, as the route table writes it: `GET /conversations/{id}`.
    pub fn route(&self) -> String {
        let mut path = self.path.split('?').next().unwrap_or_default().to_owned();
        while let Some((before, rest)) = path.split_once(':') {
            let (_, after) = rest.split_once('}').expect("a name ends with a brace");
            path = format!("{before}}}{after}");
        }
        format!("{} {path}", self.method)
    }

    /// The path with the things that `named` finds for the names in it.
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

    /// The body with the things that `named` finds for the names in it.
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

/// The rows of a table with a cell for each of so many callers.
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

/// Every route below `/api/v1` as a row names it.
pub fn routes() -> Vec<String> {
    let known = routes::ROUTES.iter().chain(routes::SHARED_ROUTES.iter());
    known.map(|route| format!("{} {}", route.method, route.path)).collect()
}
