//! [`Seconds`] and [`Days`]: durations of the settings, which hold no value that would switch a limit off.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind, Result};

/// The shortest and the longest time limit of the settings. PostgreSQL keeps its limits as milliseconds in an `i32`, and
/// reads 0 as "no limit".
const SECONDS: (f64, f64) = (0.001, 2_000_000.0);

/// From "at once" to a century.
const DAYS: (f64, f64) = (0.0, 36_500.0);

/// A time limit of the settings: from 0.001 to 2,000,000 seconds. It is never zero, negative or endless.
///
/// ```
/// use tenantry::{PoolLimits, Seconds};
/// let mut limits = PoolLimits::default();
/// limits.statement_timeout = Seconds::new(2.5)?;
/// assert!(Seconds::new(0.0).is_err());
/// assert!(Seconds::new(f64::NAN).is_err());
/// # let _ = limits; Ok::<(), tenantry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(Duration);

impl Seconds {
    /// A limit of so many seconds.
    ///
    /// # Errors
    /// If the number is not between 0.001 and 2,000,000.
    pub fn new(seconds: f64) -> Result<Self> {
        within(seconds, SECONDS, "seconds").map(Self)
    }

    /// For defaults: the caller keeps to the range.
    pub(crate) const fn whole(seconds: u16) -> Self {
        Self(Duration::from_secs(if seconds == 0 { 1 } else { seconds as u64 }))
    }

    /// The limit as the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs_f64().fmt(f)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Number).and_then(|n| Self::new(n).map_err(de::Error::custom))
    }
}

/// A time of the settings that is counted in days: from 0, which is "at once", to 36,500.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Days(f64);

impl Days {
    /// So many days.
    ///
    /// # Errors
    /// If the number is not between 0 and 36,500.
    pub fn new(days: f64) -> Result<Self> {
        within(days, DAYS, "days").map(|_| Self(days))
    }

    /// For defaults: the caller keeps to the range.
    pub(crate) const fn whole(days: u8) -> Self {
        Self(days as f64)
    }

    /// The time as the standard library has it.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0 * 86_400.0)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Number).and_then(|n| Self::new(n).map_err(de::Error::custom))
    }
}

/// The number as a duration of its unit, unless it is out of the range; NaN is in no range.
fn within(number: f64, (least, most): (f64, f64), unit: &str) -> Result<Duration> {
    let error = || {
        Error::new(ErrorKind::Configuration, format!("`{number}` is not a number of {unit} from {least} to {most}"))
            .help(format!("write {unit} between {least} and {most}"))
    };
    if !(least..=most).contains(&number) {
        return Err(error());
    }
    Duration::try_from_secs_f64(number).map_err(|_| error())
}

/// A number, with or without a decimal point.
struct Number;

impl de::Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is out of every range")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is out of every range")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_negative_zero_endless_or_no_number() {
        for wrong in [-0.3, 0.0, -0.0, 1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 2_000_000.1] {
            assert!(Seconds::new(wrong).is_err(), "{wrong}");
        }
        for right in [0.001, 0.2, 30.0, 2_000_000.0] {
            assert_eq!(Seconds::new(right).map(Seconds::duration).ok(), Some(Duration::from_secs_f64(right)));
        }
    }

    #[test]
    fn no_day_is_kept_or_a_century_but_no_negative_number() {
        for wrong in [-5.0, -0.001, f64::NAN, f64::INFINITY, 1e300, 36_501.0] {
            assert!(Days::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Days::new(0.0).map(Days::duration).ok(), Some(Duration::ZERO));
        assert_eq!(Days::new(0.5).map(Days::duration).ok(), Some(Duration::from_hours(12)));
        assert_eq!(Days::new(36_500.0).map(|d| d.to_string()).ok().as_deref(), Some("36500"));
    }
}
