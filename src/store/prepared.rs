//! Statements that every connection that writes to PostgreSQL has prepared by name.
//!
//! A text that executes them needs no parameters. So several of them take one round trip, together with BEGIN or
//! COMMIT. Their arguments are a part of that text. To be sure that nothing in it is interpreted, an argument is a set
//! of ids, a number, or a text in hexadecimal, which the statement decodes.

use sea_orm::sea_query::ArrayType;
use sea_orm::{DatabaseBackend, Statement, Value};
use std::fmt::Write as _;
use uuid::Uuid;

/// A statement with a name. Its text never changes.
pub struct PreparedStatement {
    pub name: &'static str,
    /// The types of the parameters, separated by commas.
    pub types: &'static str,
    pub text: fn() -> String,
}

/// Returns the text that prepares statements on a connection.
pub fn prepare(statements: impl IntoIterator<Item = &'static PreparedStatement>) -> String {
    let prepare = |statement: &PreparedStatement| {
        format!("PREPARE {} ({}) AS {}", statement.name, statement.types, (statement.text)())
    };
    statements.into_iter().map(prepare).collect::<Vec<_>>().join("; ")
}

/// The execution of a prepared statement.
pub struct PreparedCall {
    pub statement: &'static PreparedStatement,
    pub arguments: Vec<Argument>,
}

impl PreparedCall {
    /// Appends the text that executes the statement.
    pub fn push_to(&self, text: &mut String) {
        text.push_str("EXECUTE ");
        text.push_str(self.statement.name);
        for (index, argument) in self.arguments.iter().enumerate() {
            text.push(if index == 0 { '(' } else { ',' });
            argument.push_to(text);
        }
        text.push(')');
    }

    /// Returns the same statement with its arguments as parameters.
    pub fn to_statement(&self) -> Statement {
        let values = self.arguments.iter().map(Argument::to_value);
        Statement::from_sql_and_values(DatabaseBackend::Postgres, (self.statement.text)(), values)
    }
}

/// The argument of a prepared statement.
pub enum Argument {
    Uuid(Uuid),
    Int(i64),
    Hex(Hex),
    Uuids(Vec<Uuid>),
    Hexes(Vec<Hex>),
}

/// Bytes in hexadecimal.
pub struct Hex(String);

impl Hex {
    /// Encodes bytes, each as two lowercase digits.
    pub fn encode(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
        Self(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// Takes bytes that are in hexadecimal already. `None` if the text contains another character.
    pub fn from_digits(text: &str) -> Option<Self> {
        text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| Self(text.to_owned()))
    }

    /// Encodes a text as UTF-8. An absent text becomes an empty one.
    pub fn encode_text(text: Option<&str>) -> Self {
        Self::encode(text.unwrap_or_default().as_bytes())
    }
}

impl Argument {
    fn push_to(&self, text: &mut String) {
        match self {
            Self::Uuid(id) => write!(text, "'{id}'").expect("a String takes every text"),
            Self::Int(number) => write!(text, "'{number}'").expect("a String takes every text"),
            Self::Hex(Hex(digits)) => text.extend(["'", digits, "'"]),
            Self::Uuids(ids) => {
                push_list(text, ids, |text, id| write!(text, "{id}").expect("a String takes every text"));
            }
            Self::Hexes(texts) => push_list(text, texts, |text, Hex(digits)| text.extend(["\"", digits, "\""])),
        }
    }

    fn to_value(&self) -> Value {
        let list = |array_type, values: Vec<Value>| Value::Array(array_type, Some(Box::new(values)));
        match self {
            Self::Uuid(id) => (*id).into(),
            Self::Int(number) => (*number).into(),
            Self::Hex(Hex(digits)) => digits.clone().into(),
            Self::Uuids(ids) => list(ArrayType::Uuid, ids.iter().map(|id| (*id).into()).collect()),
            Self::Hexes(texts) => {
                list(ArrayType::String, texts.iter().map(|Hex(digits)| digits.clone().into()).collect())
            }
        }
    }
}

/// Appends a list as the text of a PostgreSQL array.
fn push_list<T>(text: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    text.push_str("'{");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(text, item);
    }
    text.push_str("}'");
}

#[cfg(test)]
mod tests {
    use super::*;

    static STATEMENT: PreparedStatement =
        PreparedStatement { name: "find", types: "uuid[], text[], bigint", text: || "SELECT $1, $2, $3".to_owned() };

    #[test]
    fn a_text_of_a_client_is_in_no_call_as_it_was_sent() {
        let call = PreparedCall {
            statement: &STATEMENT,
            arguments: vec![
                Argument::Uuids(vec![Uuid::nil(), Uuid::max()]),
                Argument::Hexes(vec![Hex::encode_text(Some("'); x")), Hex::encode_text(None)]),
                Argument::Int(-7),
                Argument::Hex(Hex::encode(&[0, 255])),
            ],
        };
        let mut text = String::new();
        call.push_to(&mut text);
        assert_eq!(
            text,
            "EXECUTE find('{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}',\
             '{\"27293b2078\",\"\"}','-7','00ff')"
        );
        assert!(Hex::from_digits("00'").is_none() && Hex::from_digits("00ff").is_some());
        assert_eq!(prepare([&STATEMENT]), "PREPARE find (uuid[], text[], bigint) AS SELECT $1, $2, $3");
    }
}
