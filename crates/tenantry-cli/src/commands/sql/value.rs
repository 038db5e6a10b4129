//! [`Value`]: what a cell holds, exactly.

use serde::{Serialize, Serializer, ser::SerializeMap};
use sqlx::{Row, TypeInfo, ValueRef, sqlite::SqliteRow};

/// A value as SQLite stores it, whatever its column was declared as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    pub(super) fn of(row: &SqliteRow, at: usize) -> Self {
        let Ok(raw) = row.try_get_raw(at) else { return Self::Null };
        if raw.is_null() {
            return Self::Null;
        }
        let kind = raw.type_info().name().to_owned();
        let read = match kind.as_str() {
            "INTEGER" => row.try_get_unchecked(at).map(Self::Integer),
            "REAL" => row.try_get_unchecked(at).map(Self::Real),
            "TEXT" => row.try_get_unchecked(at).map(Self::Text),
            _ => row.try_get_unchecked(at).map(Self::Blob),
        };
        // A text that is not UTF-8 is shown by its bytes.
        read.or_else(|_| row.try_get_unchecked(at).map(Self::Blob)).unwrap_or(Self::Null)
    }

    /// As a cell of a table. The text NULL is quoted, so that it is not taken for the value.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Null => "NULL".into(),
            Self::Integer(number) => number.to_string(),
            // The shortest text that reads back as the same number.
            Self::Real(number) => format!("{number:?}"),
            Self::Text(text) if text == "NULL" => "'NULL'".into(),
            Self::Text(text) => text.clone(),
            Self::Blob(bytes) => format!("x'{}'", hex(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Integer(number) => to.serialize_i64(*number),
            // JSON has no infinity.
            Self::Real(number) if !number.is_finite() => to.serialize_str(&number.to_string()),
            Self::Real(number) => to.serialize_f64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::Blob(bytes) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("hex", &hex(bytes))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_shown_exactly() {
        for (value, words, json) in [
            (Value::Null, "NULL", "null"),
            (Value::Integer(i64::MIN), "-9223372036854775808", "-9223372036854775808"),
            (Value::Real(0.1), "0.1", "0.1"),
            (Value::Real(1.0), "1.0", "1.0"),
            (Value::Real(f64::INFINITY), "inf", "\"inf\""),
            (Value::Text("NULL".into()), "'NULL'", "\"NULL\""),
            (Value::Blob(vec![0, 255]), "x'00ff'", "{\"hex\":\"00ff\"}"),
        ] {
            assert_eq!(value.in_words(), words);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
    }
}
