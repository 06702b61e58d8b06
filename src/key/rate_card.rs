//! What use costs, in exact decimals.

use rust_decimal::Decimal;

use super::usage::{Counted, Counts};

/// The highest price.
pub const PRICE_MAX: u32 = 1_000;
/// Most digits of a price behind the point: with as many, what 10^15 uses cost is still exact.
pub const PRICE_DIGITS_MAX: u32 = 9;

/// The prices, in no currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateCard {
    /// Of a key that is made.
    pub key_created: Decimal,
    /// Of a verification, whatever its verdict.
    pub verification: Decimal,
}

impl RateCard {
    /// What all that was counted costs.
    pub fn cost(&self, counts: &Counts) -> Decimal {
        let created = self.key_created.saturating_mul(counts.get(Counted::Created).into());
        let verified = self.verification.saturating_mul(counts.verifications().into());
        created.saturating_add(verified).normalize()
    }
}

/// The price that `text` says: a decimal number of at most 9 digits behind the point, from 0 to 1,000.
pub fn price(text: &str) -> Option<Decimal> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let price = text.parse::<Decimal>().ok().filter(|_| is_plain)?;
    (price.normalize().scale() <= PRICE_DIGITS_MAX && price <= PRICE_MAX.into()).then_some(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(key_created: &str, verification: &str) -> RateCard {
        RateCard { key_created: price(key_created).unwrap(), verification: price(verification).unwrap() }
    }

    #[test]
    fn costs_are_exact() {
        let mut counts = Counts::of(Counted::Valid, 1_000_000_000_000_000);
        counts.add(Counted::RateLimited, 1);
        counts.add(Counted::Created, 3);
        assert_eq!(card("0.001", "0.0001").cost(&counts).to_string(), "100000000000.0031");
        assert_eq!(card("0.1", "0.2").cost(&Counts::of(Counted::Valid, 3)).to_string(), "0.6");
        assert_eq!(card("0.000000001", "999.999999999").cost(&counts).to_string(), "999999999999001000.000000002");
        assert_eq!(card("1", "1").cost(&Counts::default()).to_string(), "0");
        assert_eq!(card("5.00", "1").cost(&Counts::of(Counted::Created, 2)).to_string(), "10");
    }

    #[test]
    fn prices() {
        for good in ["0", "0.001", "1000", "0.123456789", "1.0000000000000"] {
            assert!(price(good).is_some(), "{good}");
        }
        for bad in ["", "-1", "1001", "0.1234567891", "1e3", "NaN", "1,5", "+1", "1_000", " 1"] {
            assert!(price(bad).is_none(), "{bad}");
        }
    }
}
