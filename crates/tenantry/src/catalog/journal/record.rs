//! [`Record`]: what a row of the journal holds besides its step, as JSON with the number of its form.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, ErrorKind, Result};

/// A value in a row of the journal. A field that is added later has a default, for rows of older programs; a change that
/// older programs must not read past raises the form.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + Sync {
    const FORM: u32;
}

/// Where there is nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nothing {}

impl Record for Nothing {
    const FORM: u32 = 1;
}

#[derive(Serialize, Deserialize)]
struct Written<R> {
    form: u32,
    #[serde(flatten)]
    value: R,
}

#[derive(Deserialize)]
struct Form {
    form: u32,
}

pub(crate) fn write<R: Record>(value: &R) -> Result<String> {
    serde_json::to_string(&Written { form: R::FORM, value })
        .map_err(|e| Error::new(ErrorKind::Internal, "a record of the journal cannot be written").caused_by(e))
}

/// # Errors
/// If a newer program wrote it.
pub(crate) fn read<R: Record>(text: &str) -> Result<R> {
    let broken = |e| Error::new(ErrorKind::Internal, "a record of the journal cannot be read").caused_by(e);
    let Form { form } = serde_json::from_str(text).map_err(broken)?;
    if form > R::FORM {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("the journal holds a record of form {form}, this program knows {}", R::FORM),
        )
        .help("a newer program wrote it: let that one finish, with `tenantry doctor --repair`"));
    }
    serde_json::from_str::<Written<R>>(text).map(|written| written.value).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sizes {
        width: u32,
        #[serde(default)]
        depth: u32,
    }

    impl Record for Sizes {
        const FORM: u32 = 2;
    }

    #[test]
    fn a_record_comes_back_as_it_was_written_with_its_form() {
        let sizes = Sizes { width: 3, depth: 4 };
        let text = write(&sizes).unwrap();
        assert_eq!(text, r#"{"form":2,"width":3,"depth":4}"#);
        assert_eq!(read::<Sizes>(&text).unwrap(), sizes);
        assert_eq!(read::<Nothing>(&write(&Nothing {}).unwrap()).unwrap(), Nothing {});
    }

    #[test]
    fn an_older_record_is_read_with_defaults_and_a_newer_one_not_at_all() {
        assert_eq!(read::<Sizes>(r#"{"form":1,"width":3}"#).unwrap(), Sizes { width: 3, depth: 0 });
        let error = read::<Sizes>(r#"{"form":3,"width":3}"#).unwrap_err();
        assert!(error.to_string().contains("form 3, this program knows 2"), "{error}");
        assert!(error.help_text().is_some_and(|help| help.contains("newer program")), "{error:?}");
        for broken in ["", "{}", "[]", r#"{"form":2}"#, r#"{"form":"2","width":3}"#] {
            assert!(read::<Sizes>(broken).is_err(), "{broken}");
        }
    }
}
