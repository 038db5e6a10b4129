//! [`Value`]: what a cell holds, exactly.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use sqlx::{Row, TypeInfo, ValueRef, postgres::PgRow, sqlite::SqliteRow};

/// A value as the database tells it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
    /// A number, a truth value or a document in PostgreSQL's own words, which are JSON.
    Json(Box<RawValue>),
}

impl Value {
    /// As SQLite stores it, whatever its column was declared as.
    pub(super) fn of_sqlite(row: &SqliteRow, at: usize) -> Self {
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

    /// As PostgreSQL writes it.
    pub(super) fn of_postgres(row: &PgRow, at: usize) -> Self {
        let Ok(raw) = row.try_get_raw(at) else { return Self::Null };
        if raw.is_null() {
            return Self::Null;
        }
        let kind = raw.type_info().name().to_owned();
        match raw.as_str() {
            Ok(text) => Self::written(&kind, text),
            Err(_) => raw.as_bytes().map_or(Self::Null, |bytes| Self::Blob(bytes.to_vec())),
        }
    }

    /// The text of a value of that type.
    fn written(kind: &str, text: &str) -> Self {
        let json = match kind {
            "BOOL" => Some(if text == "t" { "true" } else { "false" }.to_owned()),
            // Not every number is one in JSON: NaN and the infinities stay texts.
            "INT2" | "INT4" | "INT8" | "OID" | "FLOAT4" | "FLOAT8" | "NUMERIC" => Some(text.to_owned()),
            // Line breaks stand between the parts of a document only; inside of its texts they are escaped.
            "JSON" | "JSONB" => Some(text.replace(['\n', '\r', '\t'], " ")),
            _ => None,
        };
        let blob = || text.strip_prefix("\\x").filter(|_| kind == "BYTEA").and_then(bytes_of);
        match json.and_then(|text| RawValue::from_string(text).ok()) {
            Some(json) => Self::Json(json),
            None => blob().map_or_else(|| Self::Text(text.to_owned()), Self::Blob),
        }
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
            Self::Json(json) => json.get().to_owned(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
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
            Self::Json(json) => json.serialize(to),
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
            (Value::written("BOOL", "t"), "true", "true"),
            (
                Value::written("NUMERIC", "12345678901234567890.1200"),
                "12345678901234567890.1200",
                "12345678901234567890.1200",
            ),
            (Value::written("NUMERIC", "NaN"), "NaN", "\"NaN\""),
            (Value::written("FLOAT8", "1e+300"), "1e+300", "1e+300"),
            (Value::written("FLOAT8", "-Infinity"), "-Infinity", "\"-Infinity\""),
            (Value::written("JSON", "{\"a\":\n[1]}"), "{\"a\": [1]}", "{\"a\": [1]}"),
            (Value::written("BYTEA", "\\x00ff"), "x'00ff'", "{\"hex\":\"00ff\"}"),
            (Value::written("BYTEA", "\\000\\377"), "\\000\\377", "\"\\\\000\\\\377\""),
            (Value::written("TEXT", "t"), "t", "\"t\""),
            (Value::written("INT4[]", "{1,NULL}"), "{1,NULL}", "\"{1,NULL}\""),
        ] {
            assert_eq!(value.in_words(), words);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
    }
}
