//! [`Money`]: an exact amount, in JSON a decimal number and in the database a count of ten-thousandths.

use std::fmt;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;

const DECIMALS: i64 = 4;
/// One unit, in ten-thousandths.
const UNIT: i64 = 10_000;
/// Longer numbers are refused before anybody computes with them.
const MAX_DIGITS: usize = 19;

/// An amount that is not negative. It is never a float, not even on its way in or out: JSON's number is read and
/// written as the text that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, DeriveValueType)]
pub(crate) struct Money(i64);

impl Money {
    #[cfg(test)]
    pub(crate) const MAX: Self = Self(i64::MAX);

    /// So many whole units and hundredths; for amounts that stand in the program.
    pub(crate) const fn new(units: i32, hundredths: u8) -> Self {
        Self(units as i64 * UNIT + hundredths as i64 * (UNIT / 100))
    }

    /// The amount so many times; `None` if it is more than can be counted.
    pub(crate) fn times(self, quantity: i64) -> Option<Self> {
        self.0.checked_mul(quantity).map(Self)
    }

    /// Reads a JSON number, or says why it is no amount.
    fn parse(number: &str) -> Result<Self, &'static str> {
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| TOO_LARGE)?),
            None => (number, 0),
        };
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("it is no number");
        }
        let decimals = i64::try_from(fraction.len()).map_err(|_| TOO_LARGE)? - i64::from(exponent);
        let amount = shift(digits.trim_start_matches('0'), DECIMALS - decimals)?;
        if negative && amount > 0 { Err("it is negative") } else { Ok(Self(amount)) }
    }
}

const TOO_LARGE: &str = "it is too large";

/// The digits as a number, times ten to the power of `places`.
fn shift(digits: &str, places: i64) -> Result<i64, &'static str> {
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let zeros = i64::try_from(digits.len() - significant.len()).map_err(|_| TOO_LARGE)? + places;
    let zeros =
        u32::try_from(zeros).map_err(|_| if zeros < 0 { "it has more than four decimals" } else { TOO_LARGE })?;
    if significant.len() > MAX_DIGITS {
        return Err(TOO_LARGE);
    }
    let number: i64 = significant.parse().map_err(|_| TOO_LARGE)?;
    10_i64.checked_pow(zeros).and_then(|power| number.checked_mul(power)).ok_or(TOO_LARGE)
}

/// At least two decimals, as prices are written.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.0 / UNIT, self.0 % UNIT);
        let decimals = format!("{rest:04}");
        let (shown, may_go) = decimals.split_at(2);
        write!(f, "{units}.{shown}{}", may_go.trim_end_matches('0'))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = <&RawValue>::deserialize(deserializer)?;
        Self::parse(number.get()).map_err(|why| D::Error::custom(format_args!("this is no amount: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Option<Money> {
        serde_json::from_str(json).ok()
    }

    fn show(money: Money) -> String {
        serde_json::to_string(&money).expect("is a number")
    }

    #[test]
    fn an_amount_is_shown_exactly_with_two_decimals_or_as_many_as_it_has() {
        for (given, shown) in [
            ("12.5", "12.50"),
            ("0", "0.00"),
            ("-0", "0.00"),
            ("-0.000", "0.00"),
            ("7", "7.00"),
            ("0.0001", "0.0001"),
            ("12.345", "12.345"),
            ("19.99", "19.99"),
            ("0.10000000", "0.10"),
            ("1e2", "100.00"),
            ("1.25E+1", "12.50"),
            ("125e-1", "12.50"),
            ("0e9999", "0.00"),
            ("922337203685477.5807", "922337203685477.5807"),
        ] {
            assert_eq!(read(given).map(show).as_deref(), Some(shown), "{given}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_and_never_rounded() {
        for bad in [
            "0.00001",
            "1.23456",
            "-1",
            "-0.0001",
            "1e-5",
            "1e300",
            "1e99999999999",
            "922337203685477.5808",
            "99999999999999999999",
            "\"12.50\"",
            "null",
            "true",
            "[]",
            "{}",
            "NaN",
            "01",
            "+1",
            ".5",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("1{}", "0".repeat(60_000))), None);
        assert_eq!(read(&format!("0.{}1", "0".repeat(60_000))), None);
    }

    #[test]
    fn a_total_that_cannot_be_counted_is_none() {
        assert_eq!(Money::new(12, 50).times(3), Some(Money::new(37, 50)));
        assert_eq!(Money::MAX.times(1), Some(Money::MAX));
        assert_eq!(Money::MAX.times(2), None);
    }

    proptest! {
        #[test]
        fn every_amount_reads_back_as_itself(count in 0..=i64::MAX) {
            let json = show(Money(count));
            prop_assert_eq!(read(&json), Some(Money(count)));
            prop_assert_eq!(json.split_once('.').map(|(_, d)| (2..=4).contains(&d.len())), Some(true));
        }

        #[test]
        fn an_exponent_means_the_same_as_the_number_written_out(units in 0..1_000_000_i64, places in 0..4_u32) {
            let spelt = Money(units * 10_i64.pow(4 - places));
            let exponent = format!("{units}e-{places}");
            prop_assert_eq!(read(&exponent), Some(spelt));
        }
    }
}
